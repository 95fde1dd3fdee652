"""Checkpoints every few minutes, at the end, and when the training is asked to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer


class PeriodicCheckpoint(Hook):
    """Writes a checkpoint when ``every_s`` seconds have passed since the last.

    Args:
        job: that is saved.
        every_s: seconds between checkpoints.
    """

    def __init__(self, job: TrainingJob, every_s: float = 180.0) -> None:
        self.every_s = every_s
        self._last = time.perf_counter()
        self._saved_iteration = -1

    def before_training(self, trainer: Trainer) -> None:
        self._last, self._saved_iteration = time.perf_counter(), trainer.iteration

    def after_epoch(self, trainer: Trainer) -> None:
        self._save_if_due(trainer)

    def after_step(self, trainer: Trainer) -> None:
        if not trainer.is_epoch_end:  # the epoch's record is not complete yet
            self._save_if_due(trainer)

    def after_training(self, trainer: Trainer) -> None:
        # After an exception the weights may be those of half a step: the last checkpoint is the one to go on from.
        if trainer.ended_in_order and trainer.iteration != self._saved_iteration:
            self._save(trainer)

    def _save_if_due(self, trainer: Trainer) -> None:
        if time.perf_counter() - self._last >= self.every_s:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        trainer.save()
        self._last, self._saved_iteration = time.perf_counter(), trainer.iteration
