"""Reading the cells of one column, and telling which of them could not be read or cannot be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from autobrats.dataset.clinical.column_choice import Column
from autobrats.dataset.clinical.findings import Finding, Kind, shortened

Value = TypeVar("Value")


class ImpossibleValue(ValueError):
    """A value that was read, but cannot be true."""


@dataclass
class Cells(Generic[Value]):
    """The values of a column, and what stood in its way.

    Attributes:
        column: that was read.
        values: one a row; None where it is missing, unreadable or impossible.
        missing: how often each text stood for no value.
        unreadable: patient and reason.
        impossible: patient and reason.
    """

    column: Column
    values: list[Value | None] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    impossible: list[tuple[str, str]] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many values there are."""
        return sum(value is not None for value in self.values)

    def mostly(self, problems: Sequence[object]) -> bool:
        """Whether more than half of the cells that are not empty have the problem: then it is the column's."""
        return len(problems) > (len(self.values) - self.missing.total()) / 2

    def findings(self, read_as: str) -> list[Finding]:
        """What is to be said of the column, ``read_as`` telling what it was taken for."""
        found = [Finding("info", "read", f"read as {read_as}", self.column.header, count=self.known)]
        if self.missing:
            texts = ", ".join(
                f"{count} {repr(text) if text else 'empty'}" for text, count in self.missing.most_common(4)
            )
            message = f"{self.missing.total()} of {len(self.values)} rows have no value ({texts})"
            found.append(Finding("info", "missing", message, self.column.header, count=self.missing.total()))
        if self.unreadable:
            found.append(self._problem("unreadable", self.unreadable, "cannot be read"))
        if self.impossible:
            found.append(self._problem("impossible", self.impossible, "cannot be true"))
        return found

    def _problem(self, kind: Kind, problems: list[tuple[str, str]], what: str) -> Finding:
        reasons = list(dict.fromkeys(reason for _, reason in problems))
        patients = tuple(patient for patient, _ in problems)
        message = f"left out because it {what}: {shortened(reasons, 3)}"
        return Finding("warning", kind, message, self.column.header, patients, len(problems))


def read_cells(
    column: Column, texts: Sequence[str], patients: Sequence[str], read: Callable[[str], Value | None]
) -> Cells[Value]:
    """Read a column.

    Args:
        column: that is read.
        texts: its cells.
        patients: of the rows.
        read: gives the value, None for one that is not known; raises ValueError for a text that cannot be read, and
            :class:`ImpossibleValue` for a value that cannot be true.
    """
    cells: Cells[Value] = Cells(column)
    for text, patient in zip(texts, patients, strict=True):
        value = None
        try:
            value = read(text)
        except ImpossibleValue as error:
            cells.impossible.append((patient, str(error)))
        except ValueError as error:
            cells.unreadable.append((patient, str(error)))
        else:
            if value is None:
                cells.missing[text] += 1
        cells.values.append(value)
    return cells
