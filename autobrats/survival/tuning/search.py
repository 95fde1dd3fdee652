"""The search for a survival model on one cohort: baselines first, then an Optuna study."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import optuna

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.selection import RankingCache
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import OutOfFold
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.choice import Trial, choose, with_averages
from autobrats.survival.tuning.folds import survival_folds
from autobrats.survival.tuning.objectives import Objective
from autobrats.survival.tuning.out_of_fold import fold_scores, predict_out_of_fold
from autobrats.survival.tuning.search_space import SearchSpace, keep_of, sampler

_NO_FIT = (ArithmeticError, ValueError, np.linalg.LinAlgError)
_log = logging.getLogger(__name__)
_FINALISTS = 6
"""So many of the trials are scored again in other folds, and the baselines."""
_STARTUP_SHARE = 1 / 3


@dataclass(frozen=True)
class SearchOptions:
    """How a cohort is searched.

    Attributes:
        objective: what for.
        trials: of the study, the baselines not counted.
        folds: of the cross-validation within the cohort.
        repeats: of that for the best trials, with other folds than those in which they were the best.
        seed: of the folds, of the sampler and of the models.
    """

    objective: Objective
    trials: int = 60
    folds: int = 5
    repeats: int = 2
    seed: int = 0


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: baselines, finalists, their averages, and those that were scored once only.
        cut_short: whether time was up before all trials were made.
        chosen: the one to take.
    """

    trials: tuple[Trial, ...]
    chosen: Trial
    cut_short: bool = False


def search_model(
    cohort: Cohort,
    options: SearchOptions,
    *,
    deadline: float | None = None,
    told: Callable[[int], None] = lambda number: None,
) -> SearchResult:
    """Try models in cross-validation on a cohort and choose one.

    The first trials are the baselines (:func:`autobrats.survival.tuning.baselines.baselines`). Nothing outside of the cohort is
    looked at; features are chosen anew within every fold.

    Args:
        cohort: the patients.
        options: how.
        deadline: by :func:`time.monotonic`; no trial is begun after it.
        told: called with the number of trials that are done.

    Raises:
        UserError: if a fold has too few deaths.
    """
    objective = options.objective
    first, *others = (
        survival_folds(cohort.days, cohort.died, options.folds, options.seed + number)
        for number in range(1 + options.repeats)
    )
    rankings = RankingCache()
    trials: list[Trial] = []

    def score(spec: ModelSpec, folds: np.ndarray) -> tuple[np.ndarray, OutOfFold]:
        predicted = predict_out_of_fold(spec, cohort, folds, seed=options.seed, rankings=rankings)
        return fold_scores(objective, spec.class_output, cohort, predicted, folds), predicted

    def attempt(name: str, spec: ModelSpec) -> Trial:
        scores, predicted = score(spec, first)
        return Trial(name, (spec,), scores, (predicted,))

    def score_again(trial: Trial) -> Trial:
        scores, predictions = zip(*(score(trial.specs[0], folds) for folds in others))
        return Trial(trial.name, trial.specs, np.concatenate(scores), predictions)

    simplest = baselines(cohort, objective)
    for name, spec in simplest.items():
        trials.append(attempt(name, spec))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    startup = max(5, round(_STARTUP_SHARE * options.trials))
    study = optuna.create_study(direction="maximize", sampler=sampler(options.seed, startup))
    _add_baselines(study, trials)
    space = SearchSpace.of(cohort.features, keep_of(list(simplest.values())), objective)
    cut_short = False
    for number in range(1, options.trials + 1):
        if cut_short := deadline is not None and time.monotonic() > deadline:
            break
        asked = study.ask()
        spec = space.suggest(asked)
        try:
            trial = attempt(f"trial {asked.number}", spec)
        except _NO_FIT as error:
            # A fit that does not converge on some fold is an answer about that trial.
            _log.debug("Trial %d failed: %s: %s", asked.number, type(error).__name__, error)
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(asked, trial.mean)
        trials.append(trial)
        told(number)
    number = len(simplest)
    ranked = sorted(trials[number:], key=lambda trial: -trial.mean)
    # In folds in which they were not chosen: there, the winners have had luck.
    finalists = [score_again(trial) for trial in trials[:number]]
    for trial in ranked[:_FINALISTS]:
        with suppress(*_NO_FIT):
            finalists.append(score_again(trial))
    candidates = with_averages(finalists, objective, cohort, others)
    return SearchResult((*candidates, *ranked[_FINALISTS:]), choose(candidates), cut_short)


def _add_baselines(study: optuna.Study, trials: Sequence[Trial]) -> None:
    """As the first trials of the study; they have no place in its search space."""
    for trial in trials:
        study.add_trial(optuna.trial.create_trial(value=trial.mean))
