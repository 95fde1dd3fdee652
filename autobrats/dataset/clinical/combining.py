"""Several clinical tables of the same patients, made one: survival in one file, grades in another."""

from __future__ import annotations

from collections.abc import Sequence

from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.duplicates import SURVIVAL, merged_record
from autobrats.dataset.clinical.findings import Finding
from autobrats.dataset.clinical.ids import match_ids
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError


def combine_tables(tables: Sequence[ClinicalTable]) -> ClinicalTable:
    """One table of them all.

    The first table leads: its ids are kept, and its values count where the others differ; what it lacks, the others fill in.
    Patients that only a later table has come after. A survival on which two tables contradict each other is left out.

    Raises:
        UserError: if a patient of a later table could be several of the earlier ones.
    """
    records = list(tables[0].records)
    findings = list(tables[0].findings)
    columns = dict(tables[0].columns)
    for table in tables[1:]:
        found = _matches(table.records, records)
        place = {id(record): index for index, record in enumerate(records)}
        different: dict[str, list[str]] = {}
        for record in table.records:
            first = found.get(record.patient)
            if first is None:
                records.append(record)
                continue
            index = place[id(first)]
            records[index], differing = merged_record([records[index], record])
            for value in differing:
                different.setdefault(value, []).append(first.patient)
        findings += [*table.findings, *(_contradiction(table, value, names) for value, names in different.items())]
        columns |= {role: header for role, header in table.columns.items() if role not in columns}
    return ClinicalTable(records, findings, columns, tables[0].file)


def _contradiction(table: ClinicalTable, value: str, patients: Sequence[str]) -> Finding:
    name = table.file.name if table.file else "the dataset"
    then = "survival is left out" if value in SURVIVAL else "the earlier table counts"
    message = f"{name} says otherwise of {value}: {then}"
    return Finding("warning", "contradiction", message, patients=tuple(patients), count=len(patients))


def _matches(records: Sequence[ClinicalRecord], known: Sequence[ClinicalRecord]) -> dict[str, ClinicalRecord]:
    """The known record of each patient, by any of the patient's ids."""
    found = match_ids([name for record in records for name in record.ids], known)
    matches = {}
    for record in records:
        several = {found[name].patient: found[name] for name in record.ids if name in found}
        if len(several) > 1:
            first, second, *_ = several
            raise UserError(f"'{record.patient}' could be {first} or {second} of the other clinical table.")
        if several:
            matches[record.patient] = next(iter(several.values()))
    return matches
