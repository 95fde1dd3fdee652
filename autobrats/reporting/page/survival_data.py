"""story.json: what the report tells of the survival model, stored beside it so that any report can show it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.portal import CLASSES, SurvivalClass
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.files import read_model, write_json

STORY_FILE = "story.json"
"""In the folder ``survival`` of a dataset."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PatientSurvival(_Strict):
    """A patient: what happened, and what was predicted by models that had not seen the patient.

    Attributes:
        patient: the id.
        days: to death or to the day last seen alive.
        died: whether the patient died then.
        predicted_days, days_low, days_high: the prediction and its interval; without ``days_high`` it has no upper end.
        predicted_class: ``short``, ``mid`` or ``long``.
        probabilities: of the three classes.
        risk: higher means an earlier death.
    """

    patient: str
    days: float = Field(gt=0)
    died: bool
    predicted_days: float | None = None
    days_low: float | None = None
    days_high: float | None = None
    predicted_class: SurvivalClass | None = None
    probabilities: tuple[float, float, float] | None = None
    risk: float | None = None


class ModelScores(_Strict):
    """A row of the table of scores.

    Attributes:
        name: of the model or procedure, as the reader knows it (``age alone``).
        kind: what it is there for.
        chosen: whether the saved model was made this way.
        nested: scores on patients that neither the fitting nor the choosing saw, by metric.
        training: scores on the patients that it was fitted to, by metric; they are too good, and shown beside.
        features: how many it uses; None if that varies or is not known.
    """

    name: str
    kind: Literal["tuned", "baseline", "recipe", "other"] = "other"
    chosen: bool = False
    nested: dict[str, Score]
    training: dict[str, Score] = {}
    features: int | None = None


class FeatureImportance(_Strict):
    """What a feature contributes, with the ends of its interval where there is one."""

    feature: str
    value: float
    low: float | None = None
    high: float | None = None


class SurvivalStory(_Strict):
    """story.json; what is empty leaves out its part.

    Attributes:
        title: of a page of its own.
        created: date and time, as the reader shall see it.
        chosen: sentences that say what was chosen and why, the most important first.
        how_estimated: how the nested scores came about (folds, repeats, patients).
        models: the rows of the table of scores, in its order.
        patients: outcomes and nested predictions of the chosen procedure.
        interval_share: what share of patients the intervals of days were made to hold.
        importances: of the features.
        importance_unit: what an importance of 0.01 means.
        null_checks: sentences on what happened with shuffled survival times.
        notes: further sentences, such as what is missing.
        facts: versions, command, seed and the like, by name; shown on a page of its own.
    """

    title: str = "Survival"
    created: str = ""
    chosen: list[str] = []
    how_estimated: str = ""
    models: list[ModelScores] = []
    patients: list[PatientSurvival] = []
    interval_share: float | None = None
    importances: list[FeatureImportance] = []
    importance_unit: str = "loss of C-index when the feature is shuffled"
    null_checks: list[str] = []
    notes: list[str] = []
    facts: dict[str, str] = {}

    @property
    def days(self) -> np.ndarray:
        """To death or censoring, shape (patient,)."""
        return np.array([it.days for it in self.patients], np.float64)

    @property
    def died(self) -> np.ndarray:
        """Bool, shape (patient,)."""
        return np.array([it.died for it in self.patients], bool)


def patients_of(
    patients: list[str], days: np.ndarray, died: np.ndarray, predicted: SurvivalPredictions
) -> list[PatientSurvival]:
    """The patients of a story from arrays in the same order."""
    classes, probabilities = predicted.predicted_classes, predicted.probabilities

    def value(values: np.ndarray | None, row: int) -> float | None:
        # JSON has no infinity, which is where an interval without an upper end ends.
        return float(values[row]) if values is not None and np.isfinite(values[row]) else None

    def three(row: int) -> tuple[float, float, float] | None:
        if probabilities is None:
            return None
        short, mid, long = map(float, probabilities[row])
        return short, mid, long

    return [
        PatientSurvival(
            patient=patient,
            days=float(days[row]),
            died=bool(died[row]),
            predicted_days=value(predicted.days, row),
            days_low=value(predicted.days_low, row),
            days_high=value(predicted.days_high, row),
            predicted_class=None if classes is None else CLASSES[classes[row]],
            probabilities=three(row),
            risk=value(predicted.risk, row),
        )
        for row, patient in enumerate(patients)
    ]


def write_story(path: Path, story: SurvivalStory) -> None:
    """Write story.json atomically."""
    write_json(path, story)


def read_story(path: Path) -> SurvivalStory:
    """Read story.json.

    Raises:
        UserError: if it is missing, not JSON or not of this form.
    """
    return read_model(path, SurvivalStory)
