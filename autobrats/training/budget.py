"""A training that fits into the hours that were given."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from autobrats.training.hooks import Hook

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

FIRST_STEPS = 5
"""Steps before the first estimate; the very first are slower than the rest."""


class TimeBudget(Hook):
    """Sets the number of iterations so that training and the final validation end within the budget.

    The pace is measured anew at the end of every epoch, all pauses for validation and checkpoints included, so the
    learning rate comes down to its end whatever else the machine does.

    Args:
        budget_s: seconds for this fold, from its first start.
        validation_s: seconds that the final validation will take, given the seconds of a step.
        most_iterations: that are done even if more would fit.
    """

    def __init__(
        self, budget_s: float, validation_s: Callable[[float], float], most_iterations: int | None = None
    ) -> None:
        self.budget_s, self.validation_s, self.most_iterations = budget_s, validation_s, most_iterations
        self._mark: tuple[int, float] | None = None

    def after_step(self, trainer: Trainer) -> None:
        if self._mark is None:
            self._mark = (trainer.iteration, time.perf_counter())
        elif trainer.iteration - self._mark[0] == FIRST_STEPS:
            self._fit(trainer)
        elif trainer.elapsed_s > self.budget_s - self.validation_s(self._step_s(trainer)):
            trainer.total_iterations = trainer.iteration

    def after_epoch(self, trainer: Trainer) -> None:
        self._fit(trainer)

    def _step_s(self, trainer: Trainer) -> float:
        if self._mark is None or trainer.iteration == self._mark[0]:
            return 0.0
        return (time.perf_counter() - self._mark[1]) / (trainer.iteration - self._mark[0])

    def _fit(self, trainer: Trainer) -> None:
        step_s = self._step_s(trainer)
        if not step_s:
            return
        left_s = self.budget_s - trainer.elapsed_s - self.validation_s(step_s)
        total = trainer.iteration + max(0, int(left_s / step_s))
        trainer.total_iterations = total if self.most_iterations is None else min(total, self.most_iterations)
