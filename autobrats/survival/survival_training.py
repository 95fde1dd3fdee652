"""Training a survival model: search, nested judgement, decision, and the model that was decided for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.metrics import SURVIVAL_METRICS
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.survival.candidates import references
from autobrats.survival.cohort import Cohort
from autobrats.survival.models.explanation import FeatureImportance, permutation_importances
from autobrats.survival.models.recipes import survival_recipe, survival_recipe_names
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import SurvivalModel
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.choice import Trial
from autobrats.survival.tuning.decision import Decision, decide, decided_without, gain_told
from autobrats.survival.tuning.final_model import build_model
from autobrats.survival.tuning.folds import survival_folds
from autobrats.survival.tuning.nested import TUNED, NestedOptions, nested_cross_validation, outer_folds
from autobrats.survival.tuning.nested_scores import BRIEF, nested_gain, nested_scores
from autobrats.survival.tuning.objectives import METRICS, Objective
from autobrats.survival.tuning.search import SearchOptions, SearchResult, search_model
from autobrats.survival.tuning.split_record import SplitRecord, gather

PROCEDURE = "search and decision"
"""The row of the whole procedure, the decision included."""

RowKind = Literal["tuned", "baseline", "recipe", "other"]
Progress = Callable[[str, int, int], None]
_IMPORTANCE_SEED = 104729


@dataclass(frozen=True)
class TrainingOptions:
    """How a survival model is trained.

    Attributes:
        nested: the search and how it is judged.
        recipe: a published model to train in place of the tuned one, by name.
        null_checks: how often the judgement is repeated with shuffled survival.
        workers: processes; 0 for none beside this one.
    """

    nested: NestedOptions
    recipe: str | None = None
    null_checks: int = 0
    workers: int = 0


@dataclass(frozen=True)
class Row:
    """A line of the table of results.

    Attributes:
        kind: what it is there for.
        nested: scores on patients that nothing in the model's making saw.
        training: scores on the patients that it was fitted to, the mean over splits.
        predictions: nested ones, one a repeat.
    """

    kind: RowKind
    nested: dict[str, Score]
    training: dict[str, float]
    predictions: list[SurvivalPredictions]


@dataclass(frozen=True)
class NullCheck:
    """What became of the same procedure when survival was shuffled between patients.

    Attributes:
        score: of the tuned models, in the objective.
        chosen: what was decided for.
    """

    score: Score
    chosen: str


@dataclass(frozen=True)
class TrainedSurvival:
    """A trained survival model and all that is known of it.

    Attributes:
        model: to predict with.
        decision: why it is what it is.
        row: the name of the row of ``rows`` that says what to expect of it.
        rows: of the table of results, by name.
        trials: of the search on all patients; empty if none was made.
        importances: of its features, on patients held back.
        null_checks: with shuffled survival.
    """

    model: SurvivalModel
    decision: Decision
    row: str
    rows: dict[str, Row]
    trials: tuple[Trial, ...]
    importances: list[FeatureImportance]
    null_checks: list[NullCheck] = field(default_factory=list)


def train_survival(
    cohort: Cohort,
    options: TrainingOptions,
    folder: Path,
    *,
    notes: Sequence[str] = (),
    told: Progress = lambda stage, done, all_of_them: None,
) -> TrainedSurvival:
    """Search, judge, decide, and fit the model that was decided for.

    Args:
        cohort: the patients to learn from.
        options: how.
        folder: for the study and the finished splits, from which an interrupted run goes on.
        notes: for people, kept in the model.
        told: called with what is being done, and how much of it is.

    Raises:
        UserError: if there is nothing to learn from, or no recipe of that name.
    """
    objective = options.nested.search.objective
    simplest = baselines(cohort, objective)
    fixed = {**simplest, **references(cohort)}
    if options.recipe is not None:
        fixed[options.recipe] = survival_recipe(options.recipe).spec
    records = nested_cross_validation(
        cohort,
        fixed,
        options.nested,
        folder=folder / "nested",
        workers=options.workers,
        told=lambda done, total: told("nested cross-validation", done, total),
    )
    folds = outer_folds(cohort, options.nested)
    predictions = gathered(cohort, records, folds, [TUNED, *fixed])
    decision = decide(cohort, predictions, folds, list(simplest), objective)
    rows = _rows(cohort, predictions, folds, records, list(simplest), options)
    trials: tuple[Trial, ...] = ()
    if options.recipe is not None:
        decision = _recipe_decision(options.recipe, decision, cohort, predictions, folds, objective)
        specs: tuple[ModelSpec, ...] = (fixed[options.recipe],)
        row = options.recipe
    else:
        predictions[PROCEDURE] = decided_without(cohort, predictions, folds, list(simplest), objective)
        rows = {PROCEDURE: _row(cohort, predictions, folds, records, PROCEDURE, "tuned", SURVIVAL_METRICS), **rows}
        row = PROCEDURE
        found = _search(cohort, options.nested, told)
        trials = found.trials
        specs = found.chosen.specs if decision.chosen == TUNED else (simplest[decision.chosen],)
    search = options.nested.search
    model = build_model(
        specs, cohort, objective, folds=search.folds, seed=search.seed, notes=[decision.sentence, *notes]
    )
    importances = _importances(specs, cohort, search)
    checks = [_null_check(cohort, options, folder, number, told) for number in range(1, options.null_checks + 1)]
    return TrainedSurvival(model, decision, row, rows, trials, importances, checks)


def _search(cohort: Cohort, options: NestedOptions, told: Progress) -> SearchResult:
    """On all patients, as it was judged on parts of them."""
    deadline = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    trials = options.search.trials
    return search_model(cohort, options.search, deadline=deadline, told=lambda number: told("search", number, trials))


def gathered(
    cohort: Cohort, records: Sequence[SplitRecord], folds: np.ndarray, names: Sequence[str]
) -> dict[str, list[SurvivalPredictions]]:
    """The nested predictions of all patients by name, one a repeat."""
    of_repeat = [[record for record in records if record.repeat == repeat] for repeat in range(len(folds))]
    return {name: [gather(splits, name, len(cohort)) for splits in of_repeat] for name in names}


def _rows(
    cohort: Cohort,
    predictions: Mapping[str, list[SurvivalPredictions]],
    folds: np.ndarray,
    records: Sequence[SplitRecord],
    simplest: Sequence[str],
    options: TrainingOptions,
) -> dict[str, Row]:
    rows = {}
    for name in predictions:
        kind: RowKind = "tuned" if name == TUNED else "baseline" if name in simplest else "other"
        if name in survival_recipe_names():
            kind = "recipe"
        metrics = SURVIVAL_METRICS if name == options.recipe else BRIEF
        rows[name] = _row(cohort, predictions, folds, records, name, kind, metrics)
    return rows


def _row(
    cohort: Cohort,
    predictions: Mapping[str, list[SurvivalPredictions]],
    folds: np.ndarray,
    records: Sequence[SplitRecord],
    name: str,
    kind: RowKind,
    metrics: Sequence[str],
) -> Row:
    training: dict[str, list[float]] = {}
    for record in records:
        if name in record.candidates:
            for metric, value in record.candidates[name].training.items():
                if value is not None:
                    training.setdefault(metric, []).append(value)
    means = {metric: float(np.mean(values)) for metric, values in training.items()}
    return Row(kind, nested_scores(cohort, predictions[name], folds, metrics), means, predictions[name])


def _recipe_decision(
    name: str,
    decision: Decision,
    cohort: Cohort,
    predictions: Mapping[str, list[SurvivalPredictions]],
    folds: np.ndarray,
    objective: Objective,
) -> Decision:
    """A recipe is taken because it was asked for; how it compares with the best baseline is said all the same."""
    best = decision.baseline
    gain = nested_gain(METRICS[objective], cohort, predictions[name], predictions[best], folds)
    told = f"'{name}' is taken, because it was asked for. {gain_told(gain, best, objective)}"
    return Decision(name, best, gain, told)


def _importances(specs: Sequence[ModelSpec], cohort: Cohort, options: SearchOptions) -> list[FeatureImportance]:
    """Of models made of the same specs, on the fold that each of them did not see."""
    folds = survival_folds(cohort.days, cohort.died, options.folds, options.seed + _IMPORTANCE_SEED)
    held_out = []
    for fold in np.unique(folds):
        training = cohort.rows(np.flatnonzero(folds != fold))
        model = build_model(specs, training, options.objective, folds=options.folds, seed=options.seed)
        held_out.append((model, cohort.rows(np.flatnonzero(folds == fold))))
    return permutation_importances(held_out, seed=options.seed)


def _null_check(cohort: Cohort, options: TrainingOptions, folder: Path, number: int, told: Progress) -> NullCheck:
    """The judgement and the decision once more, with survival dealt to the patients at random."""
    objective = options.nested.search.objective
    order = np.random.default_rng([options.nested.seed, number]).permutation(len(cohort))
    shuffled = Cohort(cohort.features, cohort.days[order], cohort.died[order])
    simplest = baselines(shuffled, objective)
    records = nested_cross_validation(
        shuffled,
        simplest,
        options.nested,
        folder=folder / "nested",
        workers=options.workers,
        told=lambda done, total: told(f"null check {number}", done, total),
    )
    folds = outer_folds(shuffled, options.nested)
    predictions = gathered(shuffled, records, folds, [TUNED, *simplest])
    decision = decide(shuffled, predictions, folds, list(simplest), objective)
    metric = METRICS[objective]
    score = nested_scores(shuffled, predictions[TUNED], folds, [metric])[metric]
    return NullCheck(score, decision.chosen)
