"""CSV tables beside the cases: patients, grades, ages and whatever else is known of a case."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from autobrats.dataset.cases import Case
from autobrats.dataset.faults import Fault
from autobrats.errors import UserError

CASES_TABLE = "cases.csv"
_OTHER_TABLES = re.compile(r"(name_mapping|survival_(info|data|evaluation)).*\.csv", re.I)
_CLINICAL_NAMES = {
    "age": "age",
    "age_at_mri": "age",
    "grade": "grade",
    "sex": "sex",
    "gender": "sex",
    "survival": "survival_days",
    "survival_days": "survival_days",
    "os": "survival_days",
    "resectionstatus": "extent_of_resection",
    "resection_status": "extent_of_resection",
    "extent_of_resection": "extent_of_resection",
    "eor": "extent_of_resection",
}


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file (comma, semicolon or tab), keys and values stripped; empty rows are left out.

    Raises:
        UserError: if it cannot be read or has no header.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{file} does not exist.") from None
    except UnicodeDecodeError:
        text = file.read_text(encoding="latin-1")
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise UserError(f"{file} is empty; its first line must name the columns.")
    delimiter = max(",;\t", key=lines[0].count)
    rows = csv.DictReader(lines, delimiter=delimiter)
    table = [{(key or "").strip(): (value or "").strip() for key, value in row.items() if key} for row in rows]
    return [row for row in table if any(row.values())]


def clinical_name(column: str) -> str:
    """A column's name as clinical data are called here: lower case, underscores, the years' spellings mapped."""
    name = re.sub(r"\W+", "_", column.strip().lower()).strip("_")
    return _CLINICAL_NAMES.get(name, name)


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
            if clinical_name(key) in _CLINICAL_NAMES.values() and value and value.upper() not in ("NA", "NAN"):
                case.clinical.setdefault(clinical_name(key), value)
