"""Several rows of one patient, made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autobrats.dataset.clinical.findings import Finding
from autobrats.dataset.clinical.record import VALUES, ClinicalRecord

SURVIVAL = ("survival_days", "died")
"""The values that are left out, both, where two rows contradict each other on one."""
_ROUNDING = {"age_years": 0.1, "survival_days": 0.5}
"""Values that differ by no more than this are equal: tables round."""


def merge_duplicates(records: Sequence[ClinicalRecord]) -> tuple[list[ClinicalRecord], list[Finding]]:
    """One record a patient, in the order of their first rows, and what is to be said of it.

    What a row lacks, the patient's other rows fill in. Where they differ, the first row counts; but a survival that they
    contradict each other on is left out, because it is the truth that a model learns from.
    """
    by_patient: dict[str, list[ClinicalRecord]] = {}
    for record in records:
        by_patient.setdefault(record.patient, []).append(record)
    merged, findings = [], []
    equal: list[str] = []
    for patient, rows in by_patient.items():
        record, differing = merged_record(rows)
        merged.append(record)
        if differing:
            findings.append(_contradiction(patient, rows, differing))
        elif len(rows) > 1:
            equal.append(patient)
    if equal:
        message = "several rows of the same patient do not contradict each other: merged"
        findings.insert(0, Finding("info", "duplicate", message, patients=tuple(equal), count=len(equal)))
    return merged, findings


def merged_record(rows: Sequence[ClinicalRecord]) -> tuple[ClinicalRecord, list[str]]:
    """The rows of one patient as one record under the first one's id, and the names of values on which they differ."""
    first = rows[0]
    values: dict[str, Any] = {}
    differing = []
    for name in VALUES:
        known = [value for row in rows if (value := getattr(row, name)) is not None]
        values[name] = known[0] if known else None
        if any(abs(value - known[0]) > _ROUNDING[name] if name in _ROUNDING else value != known[0] for value in known):
            differing.append(name)
    if set(SURVIVAL) & set(differing):
        values |= dict.fromkeys(SURVIVAL)
    aliases = dict.fromkeys(alias for row in rows for alias in row.ids if alias != first.patient)
    return replace(first, **values, aliases=tuple(aliases)), differing


def _contradiction(patient: str, rows: Sequence[ClinicalRecord], differing: Sequence[str]) -> Finding:
    def seen(name: str) -> str:
        values = dict.fromkeys(getattr(row, name) for row in rows if getattr(row, name) is not None)
        return f"{name} {' or '.join(str(value) for value in values)}"

    ends = ["the first row counts"] if set(differing) - set(SURVIVAL) else []
    ends += ["survival is left out"] if set(differing) & set(SURVIVAL) else []
    message = f"{len(rows)} rows of this patient differ ({'; '.join(map(seen, differing))}): {', but '.join(ends)}"
    return Finding("warning", "contradiction", message, patients=(patient,), count=len(rows))
