"""A clinical table that has been read, and the report on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autobrats.dataset.clinical.findings import KINDS, Finding, shortened
from autobrats.dataset.clinical.ids import split_timepoint
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.files import write_csv

REPORT_COLUMNS = ("severity", "kind", "column", "count", "what was found", "patients")
"""The headings of :meth:`ClinicalTable.report_rows`."""


@dataclass(frozen=True)
class ClinicalTable:
    """Patients and what was noticed while they were read.

    Attributes:
        records: one a patient, in the order of the table.
        findings: units, missing values, duplicates, what was ignored, ...
        columns: the table's name of a column, by what it was read as.
        file: where it was read; None for the clinical data of a dataset's cases.
    """

    records: Sequence[ClinicalRecord]
    findings: Sequence[Finding]
    columns: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    @property
    def title(self) -> str:
        """Of the report: how many patients there are, and of how many survival is known."""
        known = [record for record in self.records if record.has_survival]
        died = sum(record.died is True for record in known)
        name = f"{self.file.name}: " if self.file else ""
        patients = len({split_timepoint(record.patient)[0] for record in self.records})
        rows = f" at {len(self.records)} time points" if patients < len(self.records) else ""
        return f"{name}{patients} patients{rows}, {len(known)} with survival, of whom {died} died"

    def report_rows(self) -> list[list[object]]:
        """A row a finding, warnings first; only the first few patients of each are named."""
        return [
            [it.severity, it.kind, it.column, it.count or None, it.message, shortened(it.patients)]
            for it in self._ordered()
        ]

    def write_report(self, path: Path) -> None:
        """Write all findings, with every patient's name, as CSV."""
        write_csv(
            path,
            REPORT_COLUMNS,
            (
                [it.severity, it.kind, it.column, it.count or "", it.message, " ".join(it.patients)]
                for it in self._ordered()
            ),
        )

    def _ordered(self) -> list[Finding]:
        return sorted(self.findings, key=lambda it: (it.severity != "warning", KINDS.index(it.kind)))
