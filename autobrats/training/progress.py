"""Showing a training: a progress bar, TensorBoard curves and progress.png."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

FIGURE_EVERY_S = 30.0
LINE_EVERY_S = 30.0

_log = logging.getLogger(__name__)


class Progress(Hook):
    """A bar with loss, quick validation Dice and time left in a terminal, a line every half minute elsewhere.

    Args:
        job: that is shown.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self._bar: Any = None
        self._task: Any = None
        self._writer: Any = None
        self._last_figure = self._last_line = 0.0

    def before_training(self, trainer: Trainer) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(self.job.run.tensorboard, purge_step=trainer.iteration)
        self._begun = (trainer.iteration, time.perf_counter())
        console = Console(stderr=True)
        if console.is_terminal and self.job.shows_bar:
            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[scores]}"),
                TimeRemainingColumn(),
            ]
            self._bar = Bar(*columns, console=console)
            self._bar.start()
            self._task = self._bar.add_task(
                self.job.title, total=trainer.total_iterations, completed=trainer.iteration, scores=""
            )

    def after_step(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.iteration, total=trainer.total_iterations)

    def after_epoch(self, trainer: Trainer) -> None:
        record = trainer.record
        for key in ("loss", "validation_loss", "learning_rate"):
            if record.get(key) is not None:
                self._writer.add_scalar(key, record[key], trainer.iteration)
        for region, dice in record.get("quick_dice", {}).items():
            self._writer.add_scalar(f"quick_dice/{region}", dice, trainer.iteration)
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, scores=_scores(record))
        elif now - self._last_line > LINE_EVERY_S:
            self._last_line = now
            print(
                f"{self.job.title}: iteration {trainer.iteration} of {trainer.total_iterations}, "
                f"{trainer.elapsed_s:.0f} s, about {self._left_s(trainer):.0f} s left, {_scores(record)}",
                flush=True,
            )
        if now - self._last_figure > FIGURE_EVERY_S:
            self._draw(trainer)

    def _left_s(self, trainer: Trainer) -> float:
        """Seconds until the last step, at the pace since this start."""
        begun_at, begun = self._begun
        pace = (time.perf_counter() - begun) / max(1, trainer.iteration - begun_at)
        return pace * (trainer.total_iterations - trainer.iteration)

    def after_training(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()
        if trainer.history:
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        from autobrats.reporting.progress_figure import write_progress_figure

        try:
            write_progress_figure(self.job.run.progress_figure, trainer.history, title=self.job.title)
        except OSError as error:
            _log.warning("%s cannot be written (%s); the training goes on.", self.job.run.progress_figure, error)
        self._last_figure = time.perf_counter()


def _scores(record: dict[str, Any]) -> str:
    loss = "-" if record["loss"] is None else f"{record['loss']:.3f}"
    dice = " ".join(f"{region} {value:.3f}" for region, value in record.get("quick_dice", {}).items())
    return f"loss {loss}" + (f", quick Dice {dice}" if dice else "")
