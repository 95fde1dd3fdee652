"""Synchronous successive halving: who stays at a rung is decided when everyone has reached it."""

from __future__ import annotations

import math

import optuna
from optuna.trial import FrozenTrial, TrialState

RUNGS = (0.25, 0.5)
"""Shares of a fold's time after which the worse half leaves."""
SCORING_SHARE = 0.1
"""Of the time up to a rung, what scoring there may take on top."""


class SynchronousHalving(optuna.pruners.BasePruner):
    """Prunes the worse half of the trials that have reported at the last step of the trial that is asked about.

    Of n trials the ceil(n / 2) best stay (Jamieson and Talwalkar, 2016, "Non-stochastic Best Arm Identification and
    Hyperparameter Optimization", algorithm 1). Nobody is pruned before all trials that are running have reported at that
    step: unlike Optuna's SuccessiveHalvingPruner, which decides asynchronously, the order of the trials does not matter.
    Ties go to the trial that was asked for first. A trial that reported NaN never stays.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        if math.isnan(trial.intermediate_values[step]):
            return True
        trials = study.get_trials(deepcopy=False)
        if any(step not in other.intermediate_values for other in trials if other.state == TrialState.RUNNING):
            return False
        there = [other for other in trials if step in other.intermediate_values]
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1

        def place(other: FrozenTrial) -> tuple[bool, float, int]:
            value = other.intermediate_values[step]
            return (True, 0.0, other.number) if math.isnan(value) else (False, sign * value, other.number)

        stay = sorted(there, key=place)[: math.ceil(len(there) / 2)]
        return trial.number not in [other.number for other in stay]


def field_sizes(contestants: int) -> list[int]:
    """How many race towards each rung; nobody races alone.

    Example:
        >>> field_sizes(5), field_sizes(2), field_sizes(1)
        ([5, 3], [2], [])
    """
    sizes = []
    for _ in RUNGS:
        if contestants > 1:
            sizes.append(contestants)
            contestants = math.ceil(contestants / 2)
    return sizes


def hours_of_a_fold(contestants: int, folds: int, hours: float, at_once: int = 1) -> float:
    """The length of a fold for which the race and all folds of its finalists take the hours.

    The race is run on one device; what of the finalists' folds is left after it, on all of them. What a configuration
    has trained in the race counts for its fold.

    Args:
        contestants: configurations of the plan.
        folds: of the cross-validation.
        hours: for everything.
        at_once: folds that are trained at the same time after the race.
    """
    race, share, finalists = 0.0, 0.0, contestants
    for size, rung in zip(field_sizes(contestants), RUNGS, strict=False):
        race += size * (rung - share + SCORING_SHARE * rung)
        share, finalists = rung, math.ceil(size / 2)
    if at_once == 1:
        return hours / (race + finalists * (folds - share))
    return hours / (race + math.ceil(finalists * folds / at_once))
