"""The report's survival section from what a training found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autobrats.evaluation.survival.intervals import Score
from autobrats.reporting.page.survival_data import (
    FeatureImportance,
    ModelScores,
    SurvivalStory,
    patients_of,
)
from autobrats.survival.cohort import Cohort
from autobrats.survival.result_rows import Row
from autobrats.survival.survival_training import TrainedSurvival, TrainingOptions
from autobrats.survival.tuning.objectives import TITLES

_FEATURES_NAMED = 8


def build_story(
    trained: TrainedSurvival,
    cohort: Cohort,
    options: TrainingOptions,
    *,
    created: str,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> SurvivalStory:
    """What the report tells of a training.

    Args:
        trained: what was found.
        cohort: the patients.
        options: how it was found.
        created: date and time, as the reader shall see it.
        facts: versions, command and the like.
        notes: sentences on the data.
    """
    chosen = trained.rows[trained.row]
    return SurvivalStory(
        title="Survival",
        created=created,
        chosen=[trained.decision.sentence, _saved(trained)],
        how_estimated=_estimated(cohort, options),
        models=[_scores(name, row, name == trained.row) for name, row in trained.rows.items()],
        patients=patients_of(list(cohort.features.patients), cohort.days, cohort.died, chosen.predictions[0]),
        interval_share=trained.model.interval.coverage,
        importances=[
            FeatureImportance(feature=it.feature, value=it.drop, low=it.drop - it.spread, high=it.drop + it.spread)
            for it in trained.importances
        ],
        null_checks=null_sentences(trained, options),
        notes=list(notes),
        facts=dict(facts),
    )


def null_sentences(trained: TrainedSurvival, options: TrainingOptions) -> list[str]:
    """What the checks with shuffled survival say."""
    title = TITLES[options.nested.search.objective]
    sentences = []
    for number, check in enumerate(trained.null_checks, 1):
        told = "is not defined"
        if check.score.value is not None:
            told = f"is {check.score.value:.3f}"
            if check.score.low is not None:
                told += f" ({check.score.low:.3f} to {check.score.high:.3f})"
        sentences.append(
            f"Check {number} with survival shuffled between the patients: {title} of the tuned models {told}; "
            f"'{check.chosen}' is taken."
        )
    return sentences


def _saved(trained: TrainedSurvival) -> str:
    reads = trained.model.features
    told = ", ".join(reads[:_FEATURES_NAMED]) + (
        f" and {more} more" if (more := len(reads) - _FEATURES_NAMED) > 0 else ""
    )
    return f"The saved model: {trained.model.describe()}." + (f" It reads {told}." if reads else "")


def _estimated(cohort: Cohort, options: TrainingOptions) -> str:
    nested = options.nested
    return (
        f"Nested cross-validation of {len(cohort)} patients, {int(cohort.died.sum())} of whom died: {nested.folds} folds, "
        f"{nested.repeats} time{'s' * (nested.repeats > 1)}; the search and the choice of features were repeated without the "
        "patients who are scored."
    )


def _scores(name: str, row: Row, chosen: bool) -> ModelScores:
    return ModelScores(
        name=name,
        kind=row.kind,
        chosen=chosen,
        nested=row.nested,
        training={metric: Score(value=value) for metric, value in row.training.items()},
    )
