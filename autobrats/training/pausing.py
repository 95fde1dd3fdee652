"""Pausing a training at a share of its whole length, to look at it and go on later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autobrats.training.hooks import Hook

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

REASON = "a pause"


class Pause(Hook):
    """Asks the trainer to stop, with a checkpoint, when a share of the fold's time is over.

    The share is of the fold's hours if it has any, and of its steps otherwise. The learning rate is that of the whole
    training all the same, so a paused training that goes on equals an unbroken one.

    Args:
        share: above 0 and below 1.

    Attributes:
        is_due: whether the pause has come.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share must be above 0 and below 1, got {share}")
        self.share, self.is_due = share, False

    def before_training(self, trainer: Trainer) -> None:
        self.is_due = False
        self._stop_if_due(trainer)

    def after_step(self, trainer: Trainer) -> None:
        self._stop_if_due(trainer)

    def after_training(self, trainer: Trainer) -> None:
        # A plan need not have the hook that writes checkpoints.
        if self.is_due and trainer.ended_in_order:
            trainer.save()

    def _stop_if_due(self, trainer: Trainer) -> None:
        hours = trainer.configuration.training.max_hours
        done = trainer.progress if hours is None else trainer.elapsed_s / (3600 * hours)
        if done >= self.share and trainer.iteration and trainer.stop_reason is None:
            self.is_due, trainer.stop_reason = True, REASON
