"""Where a search finds its cases: predicted probabilities and the reference, case by case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from autobrats.dataset.conventions import Convention


def file_facts(file: Path) -> tuple[str, int, int]:
    """What tells a file from another one, or from itself after a change: name, size, and time in ns."""
    facts = file.stat()
    return str(file), facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True)
class SourceCase:
    """One case.

    Attributes:
        variants: probabilities, uint8 (0..255), (region, z, y, x), by the variant's name.
        reference: labels, (z, y, x).
        spacing_mm: along (z, y, x).
    """

    variants: dict[str, np.ndarray]
    reference: np.ndarray
    spacing_mm: tuple[float, float, float]


class CaseSource(Protocol):
    """Predictions that were made without their case: out of fold, or by somebody else.

    It is sent to worker processes, so it holds paths and names, and no arrays.

    Attributes:
        key: differs if anything differs that a score depends on.
        convention: of predictions and references.
        patients: by case, in the order of the cases.
        variants: names of the variants beside ``unchanged``.
        graded: whether probabilities are more than 0 and 1.
    """

    @property
    def key(self) -> str: ...

    @property
    def convention(self) -> Convention: ...

    @property
    def patients(self) -> dict[str, str]: ...

    @property
    def variants(self) -> list[str]: ...

    @property
    def graded(self) -> bool: ...

    def load(self, name: str) -> SourceCase:
        """Read one case (UserError if a file is missing or damaged)."""
        ...
