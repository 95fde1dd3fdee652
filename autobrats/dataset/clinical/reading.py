"""Reading a clinical table: a CSV file, or what a dataset's cases say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autobrats.dataset.cases import Case
from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.column_choice import Column, ColumnChoice, choose_columns
from autobrats.dataset.clinical.columns import PATIENT, role_of
from autobrats.dataset.clinical.duplicates import merge_duplicates
from autobrats.dataset.clinical.findings import Finding
from autobrats.dataset.clinical.measures import read_measure
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.dataset.clinical.stray_cells import ignored_columns, stray_cells
from autobrats.dataset.clinical.survival_times import read_survival
from autobrats.dataset.clinical.values import is_missing
from autobrats.dataset.csv_table import CsvTable, read_csv_table
from autobrats.errors import UserError

_SURVIVAL_ROLES = ("survival_days", "died")
_PATIENT, _CASE = "patient", "case"
"""The columns of a dataset's cases beside their clinical texts."""


def read_clinical(path: Path, columns: Mapping[str, str] | None = None) -> ClinicalTable:
    """Read a CSV table of patients.

    Args:
        path: comma, semicolon (then the comma is the decimal sign) or tab.
        columns: header, or ``header:unit``, by role (a value of :class:`ClinicalRecord`, or ``patient``), for columns whose
            names say too little; ``-`` if no column is to be read as that. See :func:`parse_column_map`.

    Returns:
        A record a patient, and findings on units, missing values, duplicates and what was ignored.

    Raises:
        UserError: if the file cannot be read, has no ids or nothing clinical, two columns could be the same thing, the
            column map does not fit, or most values of age, survival or events cannot be what the column says.
    """
    table = read_csv_table(Path(path))
    return _read(table, columns or {}, table.file)


def clinical_of_cases(cases: Sequence[Case], root: Path, columns: Mapping[str, str] | None = None) -> ClinicalTable:
    """The clinical data that came with a dataset's cases: of tables beside them and of folder names.

    Args:
        cases: of the dataset; a patient's cases are read in the order of their time points, so that the first one counts.
        root: the dataset's folder, for messages.
        columns: as for :func:`read_clinical`; headers are as in dataset.json (lower case, underscores).

    Raises:
        UserError: as :func:`read_clinical` does.
    """
    in_order = sorted(cases, key=lambda case: (case.timepoint or "", case.name))
    columns = columns or {}
    names = list(dict.fromkeys(name for case in in_order for name in case.clinical))
    if not columns and not any(role_of(name) for name in names):
        patients = dict.fromkeys(case.patient for case in in_order)
        return ClinicalTable([ClinicalRecord(patient) for patient in patients], [])
    rows = tuple((case.patient, case.name, *(case.clinical.get(name, "") for name in names)) for case in in_order)
    return _read(CsvTable(root, (_PATIENT, _CASE, *names), rows, ","), {PATIENT.name: _PATIENT, **columns}, None)


def _read(table: CsvTable, columns: Mapping[str, str], file: Path | None) -> ClinicalTable:
    choice = choose_columns(table, columns)
    ids = [_ids(table, choice, row) for row in table.rows]
    findings = [*ignored_columns(choice), *stray_cells(table, choice, {name for names in ids for name in names})]
    if without := sum(not names for names in ids):
        findings.append(
            Finding("warning", "ignored", "rows without an id are left out", choice.ids[0].header, count=without)
        )
    table = CsvTable(
        table.file, table.header, tuple(row for row, it in zip(table.rows, ids, strict=True) if it), table.delimiter
    )
    ids = [names for names in ids if names]
    if not ids:
        raise UserError(f"{table.file} names no patient in '{choice.ids[0].header}'.")
    values, found = _values(table, choice, [names[0] for names in ids])
    rows = [
        ClinicalRecord(names[0], aliases=names[1:], **{role: values[role][row] for role in values})
        for row, names in enumerate(ids)
    ]
    records, duplicates = merge_duplicates(rows)
    names = {role: column.header for role, column in choice.values.items()}
    return ClinicalTable(records, findings + found + duplicates, {PATIENT.name: choice.ids[0].header, **names}, file)


def _ids(table: CsvTable, choice: ColumnChoice, row: Sequence[str]) -> tuple[str, ...]:
    cells = [row[column.index] for column in choice.ids if column.index < len(row)]
    return tuple(dict.fromkeys(cell for cell in cells if not is_missing(cell)))


def _values(
    table: CsvTable, choice: ColumnChoice, patients: Sequence[str]
) -> tuple[dict[str, list[Any]], list[Finding]]:
    """The values of all rows, by role."""
    decimal_comma, file = table.delimiter != ",", str(table.file)
    values: dict[str, list[Any]] = {}
    findings: list[Finding] = []
    for role, column in choice.values.items():
        if role not in _SURVIVAL_ROLES:
            values[role], found = read_measure(role, column, table.column(column.index), patients, decimal_comma, file)
            findings += found
    times, events = choice.values.get("survival_days"), choice.values.get("died")
    if times or events:
        survival, found = read_survival(
            times, events, _cells(table, times), _cells(table, events), patients, decimal_comma, file
        )
        values["survival_days"] = [row.days for row in survival]
        values["died"] = [row.died for row in survival]
        findings += found
    return values, findings


def _cells(table: CsvTable, column: Column | None) -> list[str]:
    return table.column(column.index) if column else []
