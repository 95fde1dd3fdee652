"""How far a training is: told while it runs, in this process and through a file to others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.training.hooks import Hook
from autobrats.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

WRITTEN_EVERY_S = 2.0


class FoldProgress(BaseModel):
    """progress.json.

    Attributes:
        state: what the training does.
        part: which of a fold's several trainings, for people; empty for the fold's own.
        iteration: steps done, of ``total_iterations``, which a time budget may change.
    """

    model_config = ConfigDict(extra="forbid")

    state: Literal["training", "validating"]
    part: str = ""
    iteration: int
    total_iterations: int


def read_progress(run: RunDirectory) -> FoldProgress | None:
    """How far a run is; None if it has not begun, or says nothing that can be read."""
    try:
        return read_model(run.progress_file, FoldProgress)
    except UserError:
        return None


class Watcher(Hook):
    """Tells how far a training is: after every step here, every two seconds in progress.json.

    Args:
        run: the fold's.
        tell: called with what is new.
    """

    def __init__(self, run: RunDirectory, tell: Callable[[FoldProgress], None]) -> None:
        self.run, self.tell = run, tell
        self._written = 0.0

    def before_training(self, trainer: Trainer) -> None:
        self._say("training", trainer, write=True)

    def after_step(self, trainer: Trainer) -> None:
        self._say("training", trainer, write=time.monotonic() - self._written > WRITTEN_EVERY_S)

    def after_training(self, trainer: Trainer) -> None:
        ended = trainer.ended_in_order and trainer.stop_reason is None
        self._say("validating" if ended and trainer.job.validation_cases else "training", trainer, write=True)

    def _say(self, state: Literal["training", "validating"], trainer: Trainer, write: bool) -> None:
        progress = FoldProgress(
            state=state,
            part=trainer.job.part,
            iteration=trainer.iteration,
            total_iterations=trainer.total_iterations,
        )
        self.tell(progress)
        if write:
            write_json(self.run.progress_file, progress)
            self._written = time.monotonic()
