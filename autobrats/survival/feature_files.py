"""Tables of features as CSV files: ours, and those that pyradiomics and others have written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.dataset.csv_table import read_csv_table
from autobrats.errors import UserError
from autobrats.files import write_csv
from autobrats.survival.feature_table import CLINICAL_PREFIX, FeatureTable

PATIENT, NOTES = "patient", "notes"
"""Our own columns beside the features."""

_ID_NAMES = (
    "patient",
    "patientid",
    "subject",
    "subjectid",
    "id",
    "case",
    "caseid",
    "casename",
    "name",
    "study",
    "studyid",
)
_ID_OF_A_YEAR = re.compile(r"brats\w*id")
_MISSING = {"", "na", "n/a", "nan", "none", "null", "inf", "+inf", "-inf", "not available", "unknown", "-", "?"}
_OUTCOME = re.compile(
    r".*(surviv|censor|death|dead|deceased|vitalstatus|followup|lastcontact|timeto|lifespan|daystodod|riskgroup).*"
    r"|(os|pfs|efs|dss|dfs|ttp|surv)(days|months|years|time|event|status|class|group)?|(event|status|time)(os|pfs|efs|dss)"
    r"|overallsurv|survdays|days|months|years|time|event|status|died|alive|outcome|class|label|target"
)
"""Columns that say how long a patient lived, letters and digits only: what is to be predicted is no feature."""


@dataclass(frozen=True)
class FeatureFile:
    """A table of features as read.

    Attributes:
        features: a row a patient, in the file's order.
        notes: sentences on what was left out or taken as missing.
    """

    features: FeatureTable
    notes: list[str]


def read_features(path: Path, id_column: str | None = None) -> FeatureFile:
    """Read a CSV (comma, semicolon or tab) with a row a patient and a column a feature.

    Of the columns, pyradiomics' ``diagnostics_``, its Image and Mask, those that hold text, and those that say how long the
    patient lived are left out. Empty fields, NA, NaN, infinities and the like are missing.

    Args:
        path: of the file.
        id_column: whose values name the patients; None takes patient, ID, case and the like, else a first column of text.

    Raises:
        UserError: if the file cannot be read, has no column of ids or of numbers, a column twice, a row without id, two
            different rows of one patient, or a column whose name begins with ``clinical_``.
    """
    path = Path(path)
    heading, rows = _read_rows(path)
    identity = _id_column(path, heading, rows, id_column)
    patients = [row[identity] for row in rows]
    if "" in patients:
        number = patients.index("") + 1
        raise UserError(f"{path} has no {heading[identity] or 'id'} in row {number}; give every row its patient.")
    wanted, notes = _feature_columns(path, heading, identity)
    words: dict[int, str] = {}
    cells = ([row[index] for index in wanted] for row in rows)
    values = np.array([_numbers(row, words) for row in cells], np.float64).reshape(len(rows), len(wanted))
    values[~np.isfinite(values)] = np.nan
    if words:
        listed = [f"{heading[wanted[place]]} ('{word}')" for place, word in sorted(words.items())]
        notes.append(f"left out, because they hold text: {_listed(listed)}")
    numeric = [place for place in range(len(wanted)) if place not in words]
    if not numeric:
        raise UserError(f"{path} has no column of numbers beside {heading[identity]}.")
    names, values = [heading[wanted[place]] for place in numeric], values[:, numeric]
    kept = _first_rows(path, patients, values)
    if len(kept) < len(patients):
        notes.append(f"{len(patients) - len(kept)} rows repeat another row of the same patient")
    missing = int(np.isnan(values[kept]).sum())
    if missing:
        notes.append(f"{missing} of {len(kept) * len(names)} values are missing")
    table = FeatureTable(tuple(patients[row] for row in kept), tuple(names), np.ascontiguousarray(values[kept]))
    return FeatureFile(table, notes)


def write_features(path: Path, features: FeatureTable, notes: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write a table that :func:`read_features` reads back exactly: ``patient``, the features, and ``notes`` if there are any.

    A missing value is an empty field.

    Args:
        path: of the CSV.
        features: a row a patient.
        notes: sentences by patient.
    """
    rows = [
        [patient, *("" if math.isnan(value) else value for value in row)]
        for patient, row in zip(features.patients, features.values.tolist(), strict=True)
    ]
    heading = [PATIENT, *features.names]
    if notes:
        heading.append(NOTES)
        for row in rows:
            row.append("; ".join(notes.get(str(row[0]), ())))
    write_csv(path, heading, rows)


def _read_rows(path: Path) -> tuple[list[str], list[Sequence[str]]]:
    """The heading, and the cells of every row, as many as the heading has."""
    table = read_csv_table(path)
    width = len(table.header)
    rows: list[Sequence[str]] = []
    for number, row in enumerate(table.rows, 1):
        if any(row[width:]):
            raise UserError(f"{path} has {len(row)} values for {width} columns in row {number} ({row[0]}); correct it.")
        rows.append(row if len(row) == width else (*row, *[""] * (width - len(row)))[:width])
    if not rows:
        raise UserError(f"{path} has no rows.")
    return list(table.header), rows


def _id_column(path: Path, heading: list[str], rows: list[Sequence[str]], wanted: str | None) -> int:
    """Which column names the patients."""
    if wanted is not None:
        if wanted not in heading:
            raise UserError(f"{path} has no column '{wanted}'; it has {_listed(heading)}.")
        return heading.index(wanted)
    keys = [_key(name) for name in heading]
    for name in _ID_NAMES:
        if name in keys:
            return keys.index(name)
    for index, key in enumerate(keys):
        if _ID_OF_A_YEAR.fullmatch(key):
            return index
    words: dict[int, str] = {}
    for row in rows:
        _numbers(row[:1], words)
    if words:
        return 0
    raise UserError(f"{path} has no column of the patients' names; call it '{PATIENT}'. It has {_listed(heading)}.")


def _feature_columns(path: Path, heading: list[str], identity: int) -> tuple[list[int], list[str]]:
    """The columns that may be features, and notes on the others."""
    wanted, diagnostics, outcomes = [], [], []
    for index, name in enumerate(heading):
        if index == identity or _key(name) in ("", "image", "mask") or name == NOTES or name.startswith("Unnamed: "):
            continue
        if name.startswith("diagnostics_"):
            diagnostics.append(name)
        elif _OUTCOME.fullmatch(_key(name)):
            outcomes.append(name)
        else:
            wanted.append(index)
    names = [heading[index] for index in wanted]
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path} has the column {doubles[0]} twice; give the columns different names.")
    if clinical := [name for name in names if name.startswith(CLINICAL_PREFIX)]:
        raise UserError(
            f"{path} has the column {clinical[0]}, but names that begin with {CLINICAL_PREFIX} are those of the clinical "
            "table; give it in that table, or rename the column."
        )
    notes = []
    if diagnostics:
        notes.append(f"left out, because they are pyradiomics' diagnostics: {len(diagnostics)} columns")
    if outcomes:
        notes.append(f"left out, because they say how long the patient lived: {_listed(outcomes)}")
    return wanted, notes


def _numbers(row: Sequence[str], words: dict[int, str]) -> list[float]:
    """The fields of a row as numbers, NaN for what is missing; the first text of each column is put into ``words``."""
    try:
        return [float(text or "nan") for text in row]
    except ValueError:
        return [_number(text, place, words) for place, text in enumerate(row)]


def _number(text: str, place: int, words: dict[int, str]) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        pass
    try:
        # 0,5 can only be in one field where fields are not separated by commas.
        return float(text.replace(",", "."))
    except ValueError:
        if text.lower() not in _MISSING:
            words.setdefault(place, text[:40])
        return math.nan


def _first_rows(path: Path, patients: Sequence[str], values: np.ndarray) -> list[int]:
    """The first row of each patient; any others must be equal to it."""
    first: dict[str, int] = {}
    for row, patient in enumerate(patients):
        known = first.setdefault(patient, row)
        if known != row and not np.array_equal(values[known], values[row], equal_nan=True):
            raise UserError(
                f"{path} has two different rows of {patient}, the rows {known + 1} and {row + 1}; leave one of them there."
            )
    return list(first.values())


def _key(name: str) -> str:
    """A column's name, letters and digits only, lower case."""
    return re.sub(r"[\W_]+", "", name.lower())


def _listed(names: Sequence[str]) -> str:
    """The first names, for a message."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
