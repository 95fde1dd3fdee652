"""One table of all folds that a command trains: live in a terminal, a line for every change elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autobrats.reporting.tables import print_table

if TYPE_CHECKING:
    from autobrats.training.watching import FoldProgress

HEADINGS = ["configuration", "fold", "state", "iterations", "minutes", "mean Dice"]
RUNNING = ("training", "validating", "scoring")


@dataclass
class FoldRow:
    """What became of a fold so far.

    Attributes:
        name: of the configuration.
        fold: 0, 1, ... or ``all``.
        state: waiting, training, validating, finished, was finished, stopped or failed; in a race also scoring, paused
            and left.
        part: which of the fold's several trainings is under way.
        iteration, total_iterations: steps done, and of how many; None before the first start.
        seconds: that the fold has taken in this call; None if it has taken none.
        dice: mean over cases and regions, where it is known.
        reason: why it failed or left, a sentence without a full stop.
    """

    name: str
    fold: str
    state: str = "waiting"
    part: str = ""
    iteration: int | None = None
    total_iterations: int | None = None
    seconds: float | None = None
    dice: float | None = None
    reason: str = ""
    _begun: float | None = None
    _before_s: float = 0.0

    @property
    def title(self) -> str:
        """For people: ``3d_fullres fold 0``."""
        return f"{self.name} fold {self.fold}"

    def begin(self) -> None:
        """Its time runs from now on."""
        self._begun, self._before_s = time.monotonic(), self.seconds or 0.0

    def cells(self) -> list[str | None]:
        """The row of the table."""
        seconds = self.seconds
        if self._begun is not None and self.state in RUNNING:
            seconds = self._before_s + time.monotonic() - self._begun
        done = None if self.iteration is None else f"{self.iteration} of {self.total_iterations}"
        return [
            self.name,
            self.fold,
            f"{self.state}: {self.part}" if self.part and self.state == "training" else self.state,
            done,
            None if seconds is None else f"{seconds / 60:.1f}",
            None if self.dice is None else f"{self.dice:.3f}",
        ]

    def sentence(self) -> str:
        """What a line in a log says of its state."""
        if self.state == "finished":
            scored = "" if self.dice is None else f"; mean Dice {self.dice:.3f}"
            return f"{self.title} finished in {self.seconds or 0:.0f} s{scored}."
        if self.state == "was finished":
            return f"{self.title} was finished already (--restart trains it anew)."
        if self.state == "stopped":
            return f"{self.title} is stopped."
        if self.state == "left":
            return f"{self.title} {self.reason}."
        if self.state == "paused":
            return f"{self.title} is paused; mean Dice {self.dice:.3f}."
        return f"{self.title}: {self.state}{': ' + self.reason if self.reason else ''}."


class ProgressTable:
    """A context in which the rows are shown.

    Args:
        rows: one a fold.
        is_live: whether a terminal shows the table all the time; otherwise every change is a line.
    """

    def __init__(self, rows: Sequence[FoldRow], is_live: bool = True) -> None:
        self.rows, self.is_live = rows, is_live and sys.stderr.isatty()
        self._live: Any = None
        self._redirected: list[logging.StreamHandler] = []

    def __enter__(self) -> ProgressTable:
        if self.is_live:
            from rich.console import Console
            from rich.live import Live

            stderr = sys.stderr
            self._live = Live(
                console=Console(stderr=True), get_renderable=self._rendered, refresh_per_second=1, transient=True
            )
            self._live.start()
            # What is logged goes above the table, as what is printed does.
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is stderr:
                    handler.setStream(sys.stderr)
                    self._redirected.append(handler)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        while self._redirected:
            self._redirected.pop().setStream(sys.stderr)

    def change(self, row: FoldRow, **values: Any) -> None:
        """Set values of a row; a new state is told."""
        before = (row.state, row.part)
        for key, value in values.items():
            setattr(row, key, value)
        if self._live is None and (row.state, row.part) != before:
            print(row.sentence(), flush=True)

    def show_progress(self, row: FoldRow, progress: FoldProgress) -> None:
        """Take over how far a training is."""
        self.change(
            row,
            state=progress.state,
            part=progress.part,
            iteration=progress.iteration,
            total_iterations=progress.total_iterations,
        )

    def print(self, title: str = "") -> None:
        """The table on the standard output, and below it why folds failed."""
        print_table(HEADINGS, [row.cells() for row in self.rows], title=title)
        for row in self.rows:
            if row.state == "failed":
                print(row.sentence())

    def _rendered(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, justify="right" if heading in HEADINGS[3:] else "left")
        for row in self.rows:
            table.add_row(*(Text(cell or "-") for cell in row.cells()))
        return table
