"""survival.csv: what was predicted, a row a patient; and the two columns ``id,days`` that the BraTS portal takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.dataset.csv_table import read_csv_table
from autobrats.errors import UserError
from autobrats.evaluation.survival.portal import CLASSES
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.files import write_csv

PROBABILITY_COLUMNS = tuple(f"p_{name}" for name in CLASSES)
COLUMNS = ("patient", "days", "days_low", "days_high", "class", *PROBABILITY_COLUMNS, "risk")
"""Of survival.csv. Read are also tables with some of them, in any order, but for the patient and days or a risk."""
ROUNDING = 0.02
"""How far the probabilities of a patient may be from 1 in sum; they are divided by it."""

_NAMES_OF_PATIENT = ("patient", "id", "case", "subject")


@dataclass(frozen=True)
class PredictionFile:
    """The content of a table of predictions: ``patients`` in the order of ``predictions``."""

    patients: tuple[str, ...]
    predictions: SurvivalPredictions


def read_predictions(path: Path) -> PredictionFile:
    """Read survival.csv, or a table with two columns, id and days, with or without a heading.

    Raises:
        UserError: naming the file and the patient, for a table that is not like this or has a wrong value.
    """
    header, rows = _read_rows(path)
    patients = [row[0] for row in rows]
    if "" in patients:
        raise UserError(
            f"{path}: row {patients.index('') + 1} of the patients has no id; write it into the first column."
        )
    if twice := sorted({patient for patient in patients if patients.count(patient) > 1}):
        raise UserError(f"{path}: {twice[0]} has several rows; leave one.")
    numbers = {
        name: np.array([_number(path, patient, name, row[place]) for patient, row in zip(patients, rows, strict=True)])
        for name, place in header.items()
        if name != "class"
    }
    probabilities = _probabilities(path, patients, numbers)
    low, high = _interval(path, patients, numbers)
    if "days" not in numbers and "risk" not in numbers:
        raise UserError(f"{path} has neither a column 'days' nor 'risk'; columns that are read: {', '.join(COLUMNS)}.")
    classes = None
    if "class" in header:
        classes = np.array([_class(path, patient, row[header["class"]]) for patient, row in zip(patients, rows)])
    predictions = SurvivalPredictions(
        days=numbers.get("days"),
        risk=numbers.get("risk"),
        days_low=low,
        days_high=high,
        classes=classes,
        probabilities=probabilities,
    )
    return PredictionFile(tuple(patients), predictions)


def write_predictions(path: Path, patients: Sequence[str], predictions: SurvivalPredictions) -> None:
    """Write survival.csv atomically; what was not predicted leaves its column empty."""
    probabilities = predictions.probabilities
    columns: dict[str, Sequence[object]] = {
        "patient": patients,
        "days": _texts(predictions.days, ".1f", len(patients)),
        "days_low": _texts(predictions.days_low, ".1f", len(patients)),
        "days_high": _texts(predictions.days_high, ".1f", len(patients)),
        "class": [""] * len(patients)
        if predictions.predicted_classes is None
        else [CLASSES[place] for place in predictions.predicted_classes],
        **{
            name: _texts(None if probabilities is None else probabilities[:, place], ".4f", len(patients))
            for place, name in enumerate(PROBABILITY_COLUMNS)
        },
        "risk": _texts(predictions.risk, ".8g", len(patients)),
    }
    write_csv(path, COLUMNS, list(zip(*(columns[name] for name in COLUMNS), strict=True)))


def _read_rows(path: Path) -> tuple[dict[str, int], list[list[str]]]:
    """The places of the columns by name, without the patient's and empty ones, and the rows with the patient first."""
    table = read_csv_table(path)
    rows = [list(row) for row in table.rows]
    names = [name.lower() for name in table.header]
    if len(names) == 2 and _is_number(names[1]):
        rows.insert(0, list(table.header))
        names = ["patient", "days"]
    own = next((names.index(name) for name in _NAMES_OF_PATIENT if name in names), None)
    if own is None and len(names) != 2:
        raise UserError(f"{path} has no column 'patient'; its columns are {', '.join(names)}.")
    own = own or 0
    if len(names) == 2 and names[1 - own] != "risk":
        names[1 - own] = "days"
    if not rows:
        raise UserError(f"{path} has no patients; a row a patient is needed: id, days.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise UserError(f"{path}: row {number} of the patients has {len(row)} cells instead of {len(names)}.")
    ordered = [[row[own], *row[:own], *row[own + 1 :]] for row in rows]
    others = [name for place, name in enumerate(names) if place != own]
    known = {name: place for place, name in enumerate(others, start=1) if name in COLUMNS}
    return {name: place for name, place in known.items() if any(row[place] for row in ordered)}, ordered


def _number(path: Path, patient: str, column: str, cell: str) -> float:
    if column == "days_high" and cell == "inf":
        return math.inf
    if not _is_number(cell):
        raise UserError(f"{path}: '{column}' of {patient} is {cell!r}; it must be a number.")
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _class(path: Path, patient: str, cell: str) -> int:
    if cell.lower() not in CLASSES:
        raise UserError(f"{path}: the class of {patient} is {cell!r}; possible: {', '.join(CLASSES)}.")
    return CLASSES.index(cell.lower())


def _probabilities(path: Path, patients: Sequence[str], numbers: dict[str, np.ndarray]) -> np.ndarray | None:
    present = [name for name in PROBABILITY_COLUMNS if name in numbers]
    if not present:
        return None
    if len(present) < len(PROBABILITY_COLUMNS):
        missing = next(name for name in PROBABILITY_COLUMNS if name not in present)
        raise UserError(
            f"{path} has the column '{present[0]}' but no '{missing}'; give all of {', '.join(PROBABILITY_COLUMNS)}."
        )
    values = np.stack([numbers[name] for name in PROBABILITY_COLUMNS], axis=1)
    sums = values.sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1) > ROUNDING) | (values < 0).any(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{path}: the probabilities of {patients[row]} are {', '.join(f'{p:g}' for p in values[row])}; they must be "
            "0 or more and sum to 1."
        )
    return values / sums[:, None]


def _interval(
    path: Path, patients: Sequence[str], numbers: dict[str, np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    low, high = numbers.get("days_low"), numbers.get("days_high")
    if low is None or high is None:
        return None, None
    wrong = np.flatnonzero(low > high)
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"{path}: days_low of {patients[row]} is above days_high ({low[row]:g}, {high[row]:g}).")
    return low, high


def _texts(values: np.ndarray | None, form: str, number: int) -> list[str]:
    return [""] * number if values is None else [format(value, form) for value in values]
