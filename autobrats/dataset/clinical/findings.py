"""What was found while a clinical table was read: a line for each thing that a user should know of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "read", "unit", "meaning", "coarse", "missing", "impossible", "unreadable", "duplicate", "contradiction", "ignored"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report on a table.

    Attributes:
        severity: a warning is worth a look, an info tells what was done.
        kind: what it is about; see documentation/clinical_tables.md.
        message: a sentence without its full stop.
        column: as the table calls it; empty for the table as a whole.
        patients: whom it concerns, where they are worth naming.
        count: how many patients or values it concerns.
    """

    severity: Literal["info", "warning"]
    kind: Kind
    message: str
    column: str = ""
    patients: tuple[str, ...] = ()
    count: int = 0


def shortened(names: tuple[str, ...] | list[str], shown: int = _SHOWN) -> str:
    """The names in a row; of many, the first few and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
