"""The table of a dataset's faults: on the screen and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from autobrats.dataset.faults import Fault
from autobrats.files import write_csv
from autobrats.reporting.tables import print_table

SHOWN = 40
"""Rows on the screen; the CSV has all."""


def print_faults(faults: Sequence[Fault]) -> None:
    """Print the faults, errors first, each with what to do."""
    ordered = sorted(faults, key=lambda fault: fault.severity != "error")
    rows = [
        [f.severity, f.case or "(dataset)", f.file.name if f.file else "", f.kind, f.message, f.remedy]
        for f in ordered[:SHOWN]
    ]
    errors = sum(fault.severity == "error" for fault in faults)
    warnings = len(faults) - errors
    title = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    if len(ordered) > SHOWN:
        title += f" (the first {SHOWN}; all are in the file)"
    print_table(["severity", "case", "file", "kind", "what is wrong", "what to do"], rows, title=title)


def write_faults(path: Path, faults: Sequence[Fault]) -> None:
    """Write all faults as CSV (with its heading alone if there are none)."""
    write_csv(
        path,
        ["severity", "case", "file", "kind", "message", "remedy"],
        ([it.severity, it.case, it.file or "", it.kind, it.message, it.remedy] for it in faults),
    )


def read_faults(path: Path) -> list[Fault]:
    """The faults that :func:`write_faults` wrote."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            Fault(
                "error" if row["severity"] == "error" else "warning",
                row["case"],
                Path(row["file"]) if row["file"] else None,
                row["kind"],
                row["message"],
                row["remedy"],
            )
            for row in csv.DictReader(file)
        ]
