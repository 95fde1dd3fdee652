"""A fault of a dataset: what is wrong with which case and file, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """One line of the integrity table.

    Attributes:
        severity: an error stops the plan (unless faulty cases are skipped), a warning does not.
        case: the case's name, or empty for the dataset as a whole.
        file: the file, or None.
        kind: a short name of what was checked, for example ``missing_mask``; see documentation/integrity.md.
        message: what is wrong.
        remedy: what to do.
    """

    severity: Literal["error", "warning"]
    case: str
    file: Path | None
    kind: str
    message: str
    remedy: str
