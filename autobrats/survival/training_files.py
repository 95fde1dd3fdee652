"""What a training of a survival model leaves in its folder beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.metrics import SURVIVAL_METRICS
from autobrats.evaluation.survival.prediction_file import write_predictions
from autobrats.files import read_model, write_csv, write_json
from autobrats.reporting.page.survival_data import STORY_FILE, SurvivalStory, write_story
from autobrats.reporting.page.survival_page import write_survival_page
from autobrats.survival.cohort import Cohort
from autobrats.survival.models.model_file import DESCRIPTION_FILE, ESTIMATORS_FILE, save_model
from autobrats.survival.radiomics.settings import RadiomicsSettings
from autobrats.survival.survival_training import TrainedSurvival

FEATURES_FILE = "features.json"
GAIN = "better_than_best_baseline"
"""In scores.csv: by how much, in what was tuned for, with the interval of the difference."""
REPORT_FILE = "report.html"
SCORES_FILE, OUT_OF_FOLD_FILE = "scores.csv", "out_of_fold.csv"
TRIALS_FILE, IMPORTANCES_FILE = "trials.csv", "importances.csv"
WRITTEN = (
    FEATURES_FILE,
    REPORT_FILE,
    STORY_FILE,
    SCORES_FILE,
    OUT_OF_FOLD_FILE,
    TRIALS_FILE,
    IMPORTANCES_FILE,
    DESCRIPTION_FILE,
    ESTIMATORS_FILE,
)
"""By :func:`write_training`."""


class FeatureSource(BaseModel):
    """features.json: how the model's features were made, so that those of new patients are made the same way.

    Attributes:
        source: ``images``, a ``table`` of ready features, or ``clinical`` data alone.
        radiomics: the settings.
    """

    model_config = ConfigDict(extra="forbid")

    source: Literal["images", "table", "clinical"]
    radiomics: RadiomicsSettings = RadiomicsSettings()

    @field_validator("radiomics", mode="before")
    @classmethod
    def _with_tuples(cls, value: Any) -> Any:
        """The settings are strict, and JSON has lists only."""
        if not isinstance(value, dict):
            return value
        return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}


def write_training(
    folder: Path, trained: TrainedSurvival, cohort: Cohort, source: FeatureSource, story: SurvivalStory
) -> None:
    """Write the model, its scores, out-of-fold predictions, trials, importances, and the page for people."""
    # Without it no model is read: that of an earlier training must not stand beside another model.
    (folder / FEATURES_FILE).unlink(missing_ok=True)
    save_model(folder, trained.model)
    write_json(folder / FEATURES_FILE, source)
    _write_scores(folder / SCORES_FILE, trained)
    _write_out_of_fold(folder / OUT_OF_FOLD_FILE, trained, cohort)
    write_csv(
        folder / TRIALS_FILE,
        ["trial", "score", "folds", "models", "specs"],
        [
            [
                trial.name,
                f"{trial.mean:.6f}",
                len(trial.scores),
                "; ".join(spec.describe() for spec in trial.specs),
                "; ".join(spec.model_dump_json(exclude_none=True) for spec in trial.specs),
            ]
            for trial in trained.trials
        ],
    )
    write_csv(
        folder / IMPORTANCES_FILE,
        ["feature", "drop_of_c_index", "spread"],
        [[it.feature, f"{it.drop:.6f}", f"{it.spread:.6f}"] for it in trained.importances],
    )
    write_story(folder / STORY_FILE, story)
    write_survival_page(folder / REPORT_FILE, story)


def read_feature_source(folder: Path) -> FeatureSource:
    """How the features of a model in ``folder`` were made.

    Raises:
        UserError: if the file is missing or not of this form.
    """
    return read_model(folder / FEATURES_FILE, FeatureSource)


def _write_scores(path: Path, trained: TrainedSurvival) -> None:
    rows = []
    for name, row in trained.rows.items():
        for metric in SURVIVAL_METRICS:
            score = row.nested.get(metric)
            training = row.training.get(metric)
            if score is not None:
                rows.append([name, metric, *_figures(score), _figure(training), score.patients, score.reason])
        rows.append([name, GAIN, *_figures(row.gain), "", row.gain.patients, row.gain.reason])
    write_csv(path, ["model", "metric", "value", "low", "high", "training", "patients", "reason"], rows)


def _write_out_of_fold(path: Path, trained: TrainedSurvival, cohort: Cohort) -> None:
    """Predictions of the first repeat by models that did not see the patients, in the columns of survival.csv."""
    write_predictions(path, cohort.features.patients, trained.rows[trained.row].predictions[0])


def _figures(score: Score) -> Sequence[str]:
    return [_figure(value) for value in (score.value, score.low, score.high)]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
