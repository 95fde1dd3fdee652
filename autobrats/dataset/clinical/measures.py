"""Columns that stand for themselves: age, sex, grade, markers, resection and KPS."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from autobrats.dataset.clinical.cells import Cells, ImpossibleValue, read_cells
from autobrats.dataset.clinical.column_choice import Column
from autobrats.dataset.clinical.column_map import OPTION
from autobrats.dataset.clinical.columns import DAYS
from autobrats.dataset.clinical.findings import Finding
from autobrats.dataset.clinical.values import (
    coarse_word,
    is_missing,
    read_codeletion,
    read_grade,
    read_idh,
    read_male,
    read_mgmt,
    read_number,
    read_quantity,
    read_resection,
)
from autobrats.errors import UserError

OLDEST_YEARS = 120.0


def read_measure(
    role: str, column: Column, texts: Sequence[str], patients: Sequence[str], decimal_comma: bool, file: str
) -> tuple[list[Any], list[Finding]]:
    """The values of a column (None where there is none), and what is to be said of it.

    Raises:
        UserError: if most of the ages cannot be true, so that their unit must be another one.
    """
    read, read_as = _reader(role, column, decimal_comma)
    cells = read_cells(column, texts, patients, read)
    if role == "age_years" and cells.impossible and cells.mostly(cells.impossible):
        raise UserError(
            f"{file}: most values of '{column.header}' cannot be ages in {column.unit or 'years'} "
            f"({cells.impossible[0][1]}); say the unit, as in {OPTION} age_years='{column.header}':days."
        )
    return cells.values, [*cells.findings(read_as), *_further_findings(role, column, texts, patients, cells)]


def _reader(role: str, column: Column, decimal_comma: bool) -> tuple[Callable[[str], Any], str]:
    """The function that reads a cell, and the words for what it is read as."""
    header = column.header.lower()
    if role == "age_years":
        unit = column.unit or "years"
        return lambda text: _age_years(text, unit, decimal_comma), f"age_years, in {unit}"
    if role == "kps":
        return lambda text: _kps(text, decimal_comma), "kps"
    if role == "male":
        asks_male = re.search(r"\b(is)?male\b", header.replace("_", " ")) is not None
        return lambda text: read_male(text, one_is_male=asks_male), "sex"
    if role == "resection":
        return lambda text: read_resection(text, yes_is_gross_total=_asks_gross_total(column)), "resection"
    readers: dict[str, Callable[[str], Any]] = {
        "grade": read_grade,
        "idh_mutated": read_idh,
        "mgmt_methylated": read_mgmt,
        "codeleted_1p19q": read_codeletion,
    }
    return readers[role], role


def _age_years(text: str, unit: str, decimal_comma: bool) -> float | None:
    if is_missing(text):
        return None
    quantity = read_quantity(text, decimal_comma)
    if quantity.bound == "<":
        raise ValueError(f"'{text}' is no age")
    unit = quantity.unit or unit
    years = quantity.number if unit == "years" else quantity.number * DAYS[unit] / DAYS["years"]
    if not 0 <= years <= OLDEST_YEARS:
        raise ImpossibleValue(f"'{text}' is not between 0 and {OLDEST_YEARS:g} years")
    return years


def _kps(text: str, decimal_comma: bool) -> float | None:
    if is_missing(text):
        return None
    kps = read_number(text.rstrip("% "), decimal_comma)
    if not 10 <= kps <= 100:
        raise ImpossibleValue(f"'{text}' is not between 10 and 100")
    return kps


def _asks_gross_total(column: Column) -> bool:
    return re.search(r"gtr|gross", column.header.lower()) is not None


def _further_findings(
    role: str, column: Column, texts: Sequence[str], patients: Sequence[str], cells: Cells[Any]
) -> list[Finding]:
    """What values were taken to mean where the text says less than the value does."""

    def finding(kind: Any, message: str, rows: Sequence[str]) -> list[Finding]:
        return [Finding("info", kind, message, column.header, count=len(rows))] if rows else []

    if role == "grade":
        coarse = [text for text in texts if coarse_word(text)]
        return finding("coarse", "HGG is read as grade 4 and LGG as grade 2: the table tells no finer", coarse)
    if role == "resection" and _asks_gross_total(column):
        no = [text for text, value in zip(texts, cells.values, strict=True) if value == "STR"]
        return finding("coarse", "no gross total resection is read as STR; biopsies may be among them", no)
    if role == "age_years":
        unit = column.unit or "years"
        converted = unit != "years" and [value for value in cells.values if value is not None]
        capped = [text for text in texts if re.search(r"[>≥+]", text) and not is_missing(text)]
        return [
            *finding("unit", f"{unit} are converted to years", converted or []),
            *finding("coarse", "an age like '>89' is read as 89", capped),
        ]
    return []
