"""Ending trials early without spoiling the nested estimate."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from autobrats.tuning.studies import finished_trials

FOLD_DICE = "fold_dice"
"""The user attribute with a trial's mean Dice by fold."""


class MedianWithoutAnyFold(BasePruner):
    """Ends a trial that is below the median of the others whichever fold is left out of account.

    An ordinary median pruner would spoil the nested estimate: a trial that is ended for its score on the first fold can
    no longer be chosen for that fold, so that the fold's own patients have a say in what is reported for them. Here a trial
    is ended only if every choice, each of which leaves out a fold, would have ended it by the folds that it sees. The
    first fold alone ends nothing.

    Args:
        folds: of the study.
        least_others: trials to compare with, below which nothing is ended.
    """

    def __init__(self, folds: Sequence[str], least_others: int = 4) -> None:
        self.folds, self.least_others = list(folds), least_others

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        own: dict[str, float] = trial.user_attrs.get(FOLD_DICE, {})
        others = [it.user_attrs[FOLD_DICE] for it in finished_trials(study) if it.number != trial.number]
        views = [[fold for fold in own if fold != left_out] for left_out in self.folds]
        return all(view and self._is_below(own, others, view) for view in views)

    def _is_below(self, own: dict[str, float], others: list[dict[str, float]], folds: list[str]) -> bool:
        values = [fmean(it[fold] for fold in folds) for it in others if it.keys() >= set(folds)]
        return len(values) >= self.least_others and fmean(own[fold] for fold in folds) < median(values)
