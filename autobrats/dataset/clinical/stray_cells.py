"""What of a table is not read: columns that are not known, and values that strayed into columns without a name."""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile

from autobrats.dataset.clinical.column_choice import ColumnChoice
from autobrats.dataset.clinical.findings import Finding, shortened
from autobrats.dataset.csv_table import CsvTable

_LEAST_PREFIX = 3
"""Letters that all ids must begin with, for a stray cell to be told as one."""


def ignored_columns(choice: ColumnChoice) -> list[Finding]:
    """The names of columns that are not read."""
    if not choice.ignored:
        return []
    names = choice.ignored
    message = f"not known as clinical, and not read: {shortened(names, 10)}"
    return [Finding("info", "ignored", message, count=len(names))]


def stray_cells(table: CsvTable, choice: ColumnChoice, ids: Collection[str]) -> list[Finding]:
    """Values in columns without a name; ids among them are told, because a patient may stand in another one's row.

    They are never read: a row is a patient, and nothing says whose values stray cells are.
    """
    named = {index for index in range(len(table.header)) if index not in choice.nameless}
    strays = [cell for row in table.rows for index, cell in enumerate(row) if cell and index not in named]
    if not strays:
        return []
    columns = {index for row in table.rows for index, cell in enumerate(row) if cell and index not in named}
    message = f"values in {len(columns)} columns without a name are not read"
    findings = [Finding("warning", "ignored", message, count=len(strays))]
    prefix = _common_beginning([name.lower() for name in ids])
    if len(prefix) >= _LEAST_PREFIX:
        lost = tuple(dict.fromkeys(it for it in strays if it.lower().startswith(prefix) and it not in ids))
        if lost:
            message = "patients who stand only in the row of another are not read: give each a row of its own"
            findings.append(Finding("warning", "ignored", message, patients=lost, count=len(lost)))
    return findings


def _common_beginning(names: Collection[str]) -> str:
    first, last = min(names, default=""), max(names, default="")
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
