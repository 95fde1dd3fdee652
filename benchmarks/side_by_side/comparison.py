"""What a comparison measured, and the ratio that it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict

Figures = Mapping[str, Any]


class Comparison(BaseModel):
    """One line of the table.

    Attributes:
        work: what both sides did.
        against: the peer.
        ours, theirs: one value a repetition; the i-th of both were measured one right after the other.
        unit: of these values. For seconds and GiB less is better, for anything else more.
        goal: the ratio to reach; None where there is none.
        memory_goal: likewise of the peak memory.
        our_gib, their_gib: peak memory of every repetition; empty where it was not measured.
        agreement: how far the two results agree, as a sentence.
        note: what a reader should know beside.
    """

    model_config = ConfigDict(extra="forbid")

    work: str
    against: str
    ours: list[float]
    theirs: list[float]
    unit: str = "s"
    goal: float | None = None
    memory_goal: float | None = None
    our_gib: list[float] = []
    their_gib: list[float] = []
    agreement: str = ""
    note: str = ""

    @classmethod
    def of(
        cls,
        our: Sequence[Figures],
        their: Sequence[Figures],
        *,
        figure: str = "seconds",
        memory: str | None = None,
        **said: Any,
    ) -> Comparison:
        """What both sides measured, as a line.

        Args:
            our, their: one measurement a repetition.
            figure: which of its figures is compared.
            memory: and which of its peaks; None for none.
            said: the other attributes.
        """
        if memory is not None:
            said |= {"our_gib": column(our, memory), "their_gib": column(their, memory)}
        return cls(ours=column(our, figure), theirs=column(their, figure), **said)

    @property
    def ratios(self) -> list[float]:
        """How many times better ours was, repetition by repetition."""
        return _ratios(self.ours, self.theirs, self.unit == "s")

    @property
    def ratio(self) -> float:
        """The median of :attr:`ratios`."""
        return median(self.ratios)

    @property
    def memory_ratio(self) -> float | None:
        """How many times less memory ours took, the median; None where it was not measured."""
        return median(_ratios(self.our_gib, self.their_gib, True)) if self.our_gib and self.their_gib else None


@dataclass(frozen=True)
class Setting:
    """What a row of the table may use.

    Attributes:
        ours, peer: the interpreters of the two environments.
        data: folder of the real data.
        scratch: an empty folder that is removed after the row.
        shared: one that all rows of a run may use.
        repeats: of each side.
        full: whether the slow work is wanted too.
    """

    ours: Path
    peer: Path
    data: Path
    scratch: Path
    shared: Path
    repeats: int
    full: bool


@dataclass(frozen=True)
class Row:
    """A benchmark: one piece of work, or the same in several sizes.

    Attributes:
        name: on the command line.
        run: the comparison; yields a line for each size.
        quick: whether ``make benchmark`` runs it as well.
        needs: what it reads, relative to the folder of the real data.
    """

    name: str
    run: Callable[[Setting], list[Comparison]]
    quick: bool = True
    needs: Sequence[str] = field(default=())


def alternately(
    ours: Callable[[], Figures], theirs: Callable[[], Figures], repeats: int
) -> tuple[list[Figures], list[Figures]]:
    """Both sides in turn; who goes first changes from one repetition to the next."""
    our_figures, their_figures = list[Figures](), list[Figures]()
    for repetition in range(repeats):
        turns = [(ours, our_figures), (theirs, their_figures)]
        for side, figures in turns if repetition % 2 == 0 else reversed(turns):
            figures.append(side())
    return our_figures, their_figures


def column(figures: Sequence[Figures], key: str) -> list[float]:
    """One figure of every repetition; empty if a repetition lacks it."""
    return [float(one[key]) for one in figures] if all(key in one for one in figures) else []


def _ratios(ours: Sequence[float], theirs: Sequence[float], less_is_better: bool) -> list[float]:
    pairs = zip(ours, theirs, strict=True)
    return [their / our if less_is_better else our / their for our, their in pairs]
