"""race.json: the race of the plan's configurations, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from autobrats.files import read_model
from autobrats.reporting.tables import print_table


class Contestant(BaseModel):
    """A configuration in the race.

    Attributes:
        state: ``failed`` where the training did not come to its rung.
        scores: at each rung that it came to, the mean Dice over regions and the cases that are compared; None where it
            failed.
        dice: at each rung, the mean Dice over regions of every case that was predicted, in the order of the race's cases.
        iterations: steps done at each rung.
        seconds: of training and scoring.
        reason: how it ended, a sentence without a full stop; empty while it races.
    """

    model_config = ConfigDict(extra="forbid")

    state: Literal["racing", "left", "failed", "finalist"] = "racing"
    scores: list[float | None] = Field(default_factory=list)
    dice: list[dict[str, float]] = Field(default_factory=list)
    iterations: list[int] = Field(default_factory=list)
    seconds: float = 0.0
    reason: str = ""

    def is_at(self, rung: int) -> bool:
        """Whether it takes part in the decision at a rung: it was scored there, or failed on the way to it."""
        return len(self.scores) == rung and (self.state == "racing" or (self.state, len(self.dice)) == ("failed", rung))


class RaceRecord(BaseModel):
    """race.json.

    Attributes:
        fold: whose validation patients chose; their scores are no fair estimate for the finalists.
        seed: of the trainings and of the order of the cases.
        study: of Optuna, in tuning/race.
        fold_hours: of every configuration's fold.
        rungs: shares of the fold's hours after which the worse half leaves.
        compared: at each rung, how many cases were compared.
        cases: the fold's validation cases in the order in which they are predicted.
        configurations: in the plan's order.
    """

    model_config = ConfigDict(extra="forbid")

    fold: int
    seed: int
    study: str
    fold_hours: float
    rungs: list[float]
    compared: list[int] = Field(default_factory=list)
    cases: list[str]
    configurations: dict[str, Contestant]

    @property
    def racing(self) -> list[str]:
        """Who is still in the race."""
        return [name for name, it in self.configurations.items() if it.state == "racing"]

    @property
    def finalists(self) -> list[str]:
        """Who has won it; empty while it is under way, and if all have failed."""
        return [name for name, it in self.configurations.items() if it.state == "finalist"]

    @property
    def is_over(self) -> bool:
        return not self.racing


def print_race(record: RaceRecord) -> None:
    """The table of the race: who left when, and why."""
    rows: list[list[object]] = []
    for name, it in record.configurations.items():
        scores = [it.scores[rung] if rung < len(it.scores) else None for rung in range(len(record.rungs))]
        shown = [None if score is None else f"{score:.3f}" for score in scores]
        rows.append([name, *shown, f"{it.seconds / 60:.1f}", it.reason or "racing"])
    headings = [f"Dice at {rung:.0%}" for rung in record.rungs]
    title = f"Race on fold {record.fold}: mean Dice of its {len(record.cases)} held-back cases"
    if record.compared and min(record.compared) < len(record.cases):
        title = f"Race on fold {record.fold}: mean Dice of {' and '.join(map(str, record.compared))} held-back cases"
    print_table(["configuration", *headings, "minutes", "result"], rows, title=title)


def race_fold(path: Path) -> int | None:
    """The fold whose patients chose the finalists, if there was a race that somebody has left.

    Args:
        path: of race.json, which may not exist.

    Raises:
        UserError: if the file is damaged.
    """
    if not path.is_file():
        return None
    record = read_model(path, RaceRecord)
    return record.fold if len(record.finalists) < len(record.configurations) else None
