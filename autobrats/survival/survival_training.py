"""Training a survival model: search, nested judgement, decision, and the model that was decided for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.metrics import SURVIVAL_METRICS
from autobrats.survival.candidates import references
from autobrats.survival.cohort import Cohort
from autobrats.survival.models.explanation import FeatureImportance, RiskModel, permutation_importances
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.recipes import survival_recipe, survival_recipe_names
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import SurvivalModel
from autobrats.survival.result_rows import NestedResults, Row, RowKind
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.choice import Trial
from autobrats.survival.tuning.decision import Decision, decide, decided_without, gain_told
from autobrats.survival.tuning.final_model import build_model
from autobrats.survival.tuning.folds import survival_folds
from autobrats.survival.tuning.nested import TUNED, NestedOptions, nested_cross_validation, outer_folds
from autobrats.survival.tuning.nested_scores import BRIEF, nested_scores
from autobrats.survival.tuning.objectives import METRICS
from autobrats.survival.tuning.search import SearchOptions, SearchResult, search_model

NESTED_FOLDER = "nested"
"""In the folder of a survival model: the finished splits."""
PROCEDURE = "search and decision"
"""The row of the whole procedure, the decision included."""

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
        folder: for the finished splits, from which an interrupted run goes on.
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
    results = _judge(cohort, fixed, options, folder, "nested cross-validation", told)
    folds = results.folds
    decision = decide(cohort, results.predictions, folds, list(simplest), objective)
    trials: tuple[Trial, ...] = ()
    taken: dict[tuple[int, int], str] = {}
    if options.recipe is not None:
        row = options.recipe
        gain = results.gain(row, decision.baseline)
        told_gain = gain_told(gain, decision.baseline, objective)
        sentence = f"'{row}' is taken, because it was asked for. {told_gain}"
        decision = Decision(row, decision.baseline, gain, sentence)
        specs: tuple[ModelSpec, ...] = (fixed[row],)
    else:
        row = PROCEDURE
        results.predictions[row], taken = decided_without(cohort, results.predictions, folds, list(simplest), objective)
        found = _search(cohort, options.nested, told)
        trials = found.trials
        specs = found.chosen.specs if decision.chosen == TUNED else (simplest[decision.chosen],)
    rows = _rows(results, row, list(simplest), decision.baseline, taken)
    search = options.nested.search
    model = build_model(
        specs, cohort, objective, folds=search.folds, seed=search.seed, notes=[decision.sentence, *notes]
    )
    importances = _importances(specs, cohort, search)
    checks = [_null_check(cohort, options, folder, number, told) for number in range(1, options.null_checks + 1)]
    return TrainedSurvival(model, decision, row, rows, trials, importances, checks)


def _judge(
    cohort: Cohort, fixed: Mapping[str, ModelSpec], options: TrainingOptions, folder: Path, stage: str, told: Progress
) -> NestedResults:
    """The search and models that need none, on patients that they did not see."""
    nested = options.nested
    records = nested_cross_validation(
        cohort,
        fixed,
        nested,
        folder=folder / NESTED_FOLDER,
        workers=options.workers,
        told=lambda done, total: told(stage, done, total),
    )
    return NestedResults.of(cohort, nested.search.objective, outer_folds(cohort, nested), records, [TUNED, *fixed])


def _search(cohort: Cohort, options: NestedOptions, told: Progress) -> SearchResult:
    """On all patients, as it was judged on parts of them."""
    deadline = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    trials = options.search.trials
    return search_model(cohort, options.search, deadline=deadline, told=lambda number: told("search", number, trials))


def _rows(
    results: NestedResults,
    first: str,
    simplest: Sequence[str],
    baseline: str,
    taken: Mapping[tuple[int, int], str],
) -> dict[str, Row]:
    """All models, the one that says what to expect first and with every metric."""
    rows = {}
    for name in dict.fromkeys((first, *results.predictions)):
        if name == TUNED and first != PROCEDURE:
            continue  # a recipe was asked for, and nothing searched
        kind: RowKind = "tuned" if name in (TUNED, PROCEDURE) else "baseline" if name in simplest else "other"
        if name in survival_recipe_names():
            kind = "recipe"
        metrics = SURVIVAL_METRICS if name == first else BRIEF
        rows[name] = results.row(name, kind, metrics, baseline, taken if name == PROCEDURE else None)
    return rows


def _importances(specs: Sequence[ModelSpec], cohort: Cohort, options: SearchOptions) -> list[FeatureImportance]:
    """Of models made of the same specs, on the fold that each of them did not see."""
    folds = survival_folds(cohort.days, cohort.died, options.folds, options.seed + _IMPORTANCE_SEED)
    held_out: list[tuple[RiskModel, Cohort]] = []
    for fold in np.unique(folds):
        training = cohort.rows(np.flatnonzero(folds != fold))
        model: RiskModel
        if len(specs) == 1:
            model = fit_model(specs[0], training, seed=options.seed)
        else:
            model = build_model(specs, training, options.objective, folds=options.folds, seed=options.seed)
        held_out.append((model, cohort.rows(np.flatnonzero(folds == fold))))
    return permutation_importances(held_out, seed=options.seed)


def _null_check(cohort: Cohort, options: TrainingOptions, folder: Path, number: int, told: Progress) -> NullCheck:
    """The judgement and the decision once more, with survival dealt to the patients at random."""
    objective = options.nested.search.objective
    order = np.random.default_rng([options.nested.seed, number]).permutation(len(cohort))
    shuffled = Cohort(cohort.features, cohort.days[order], cohort.died[order])
    simplest = baselines(shuffled, objective)
    results = _judge(shuffled, simplest, options, folder, f"null check {number}", told)
    decision = decide(shuffled, results.predictions, results.folds, list(simplest), objective)
    metric = METRICS[objective]
    score = nested_scores(shuffled, results.predictions[TUNED], results.folds, [metric])[metric]
    return NullCheck(score, decision.chosen)
