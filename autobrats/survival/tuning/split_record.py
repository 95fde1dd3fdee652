"""What one outer split of the nested cross-validation gave, as a file that an interrupted run goes on from."""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.survival_model import SurvivalModel

ARRAYS = ("risk", "days", "days_low", "days_high", "classes", "probabilities", "curves")
"""Of the predictions of a candidate, one value or row a patient."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CandidateRecord(_Strict):
    """What a candidate said of the patients of the held-back fold.

    Attributes:
        described: the models it was made of in this split.
        days_high: None where the interval has no upper end.
        training: scores on the patients that it was fitted to, by metric; None where one is not defined.
    """

    described: list[str]
    risk: list[float]
    days: list[float]
    days_low: list[float]
    days_high: list[float | None]
    classes: list[int]
    probabilities: list[tuple[float, float, float]]
    curves: list[list[float]]
    training: dict[str, float | None]

    @classmethod
    def of(
        cls, model: SurvivalModel, table: FeatureTable, curve_days: np.ndarray, training: dict[str, float | None]
    ) -> CandidateRecord:
        """Predict the patients of a table."""
        told = model.predictions(table, curve_days)
        values = {name: getattr(told, name).tolist() for name in ARRAYS}
        values["days_high"] = [value if math.isfinite(value) else None for value in values["days_high"]]
        return cls(described=[member.fitted.spec.describe() for member in model.members], training=training, **values)


class SplitRecord(_Strict):
    """One outer split.

    Attributes:
        repeat: from 0.
        fold: the one that was held back.
        held: rows of its patients in the cohort.
        curve_days: of the survival curves.
        candidates: by name.
        cut_short: whether the search had to end before all its trials were made.
        seconds: that it took.
    """

    repeat: int
    fold: int
    held: list[int]
    curve_days: list[float]
    candidates: dict[str, CandidateRecord]
    cut_short: bool
    seconds: float


def gather(records: list[SplitRecord], name: str, patients: int) -> SurvivalPredictions:
    """The predictions of a candidate for all patients, from the splits of one repeat.

    Raises:
        ValueError: if a patient was not held back in any of the splits.
    """
    place = np.full(patients, -1)
    place[np.concatenate([record.held for record in records])] = np.arange(sum(len(record.held) for record in records))
    if (place < 0).any() or len(records) == 0:
        raise ValueError("The splits do not hold every patient back.")
    parts = [record.candidates[name] for record in records]

    def joined(field: str) -> np.ndarray:
        values = [math.inf if value is None else value for part in parts for value in getattr(part, field)]
        return np.array(values)[place]

    return SurvivalPredictions(curve_days=np.array(records[0].curve_days), **{field: joined(field) for field in ARRAYS})
