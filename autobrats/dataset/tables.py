"""CSV tables beside the cases: patients, grades, ages and whatever else is known of a case."""

from __future__ import annotations

import re
from pathlib import Path

from autobrats.dataset.cases import Case
from autobrats.dataset.clinical.columns import TEXT_NAMES, clinical_name
from autobrats.dataset.clinical.values import is_missing
from autobrats.dataset.csv_table import read_csv_table
from autobrats.dataset.faults import Fault
from autobrats.errors import UserError

CASES_TABLE = "cases.csv"
_OTHER_TABLES = re.compile(r"(name_mapping|survival_(info|data|evaluation)).*\.csv", re.I)


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file (comma, semicolon or tab), keys and values stripped; empty rows are left out.

    Raises:
        UserError: if it cannot be read or has no header.
    """
    table = read_csv_table(file)
    rows = [
        {name: row[index] if index < len(row) else "" for index, name in enumerate(table.header) if name}
        for row in table.rows
    ]
    return [row for row in rows if any(row.values())]


def find_column(row: dict[str, str], *names: str) -> str | None:
    """The column of that name in any letter case."""
    return next((column for name in names for column in row if column.lower() == name), None)


def add_tables(root: Path, cases: list[Case]) -> list[Fault]:
    """Give cases what the tables in their folder say, in place; cases.csv wins over the challenge's own tables.

    Raises:
        UserError: if cases.csv has no column 'case' or a case twice.
    """
    faults: list[Fault] = []
    if not root.is_dir():
        return faults
    for file in sorted(path for path in root.iterdir() if _OTHER_TABLES.fullmatch(path.name)):
        _add_challenge_table(read_table(file), {case.name: case for case in cases})
    file = root / CASES_TABLE
    if file.is_file():
        faults += _add_cases_table(file, cases)
    return faults


def _add_cases_table(file: Path, cases: list[Case]) -> list[Fault]:
    table = read_table(file)
    column = find_column(table[0], "case") if table else None
    if column is None:
        raise UserError(f"{file} has no column 'case'; its first line names the columns: case,patient,grade,age")
    by_name = {case.name: case for case in cases}
    faults, seen = [], set()
    for row in table:
        name = row[column]
        if name in seen:
            raise UserError(f"{file} has the case {name} twice; keep one line a case.")
        seen.add(name)
        case = by_name.get(name)
        if case is None:
            faults.append(
                Fault(
                    "warning",
                    name,
                    file,
                    "unknown_case",
                    f"{file.name} names a case that is not in the folder",
                    "correct the name, or ignore this if the case was left out on purpose",
                )
            )
            continue
        for key, value in row.items():
            if key.lower() == "patient":
                case.patient = value or case.patient
            elif key.lower() == "timepoint":
                case.timepoint = value or case.timepoint
            elif key != column and value:
                case.clinical[clinical_name(key)] = value
    return faults


def _add_challenge_table(table: list[dict[str, str]], by_name: dict[str, Case]) -> None:
    """Take over the known clinical columns of a table in which some column holds case names."""
    if not table:
        return
    matches = {column: sum(row.get(column, "") in by_name for row in table) for column in table[0]}
    column = max(matches, key=lambda name: matches[name])
    for row in table:
        case = by_name.get(row.get(column, ""))
        if case is None:
            continue
        for key, value in row.items():
            name = clinical_name(key)
            if name in TEXT_NAMES and not is_missing(value):
                case.clinical.setdefault(name, value)
