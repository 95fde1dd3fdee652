"""What a survival model says of patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from autobrats.evaluation.survival.portal import CLASSES, LONG_ABOVE_DAYS, SHORT_BELOW_DAYS, survival_classes

BORDER_DAYS = (SHORT_BELOW_DAYS, LONG_ABOVE_DAYS)


@dataclass(frozen=True)
class SurvivalPredictions:
    """Predictions for patients, in the order of what they are scored against; what a model does not say is None.

    Attributes:
        days: that the patient will live, shape (patient,).
        risk: higher means an earlier death, shape (patient,); only the order matters.
        days_low, days_high: the ends of a prediction interval of the days, shape (patient,); infinity if it has no upper one.
        classes: places in ``CLASSES``, integers, shape (patient,).
        probabilities: of the three classes, shape (patient, 3); a row sums to 1.
        curve_days: ascending, shape (day,).
        curves: the probability to be alive after each of these days, shape (patient, day).
    """

    days: np.ndarray | None = None
    risk: np.ndarray | None = None
    days_low: np.ndarray | None = None
    days_high: np.ndarray | None = None
    classes: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    curve_days: np.ndarray | None = None
    curves: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.days is None and self.risk is None:
            raise ValueError("A prediction needs days or a risk.")
        shapes: dict[str, tuple[int, ...]] = {"probabilities": (len(self), len(CLASSES))}
        if (self.curves is None) != (self.curve_days is None):
            raise ValueError("Survival curves need the days that they are given on, and the other way round.")
        if self.curve_days is not None:
            shapes |= {"curves": (len(self), len(self.curve_days)), "curve_days": self.curve_days.shape}
            if self.curve_days.ndim != 1 or (np.diff(self.curve_days) <= 0).any():
                raise ValueError("The days of survival curves must ascend.")
        for field in fields(self):
            values = getattr(self, field.name)
            if values is None:
                continue
            expected = shapes.get(field.name, (len(self),))
            if values.shape != expected:
                raise ValueError(f"{field.name} of shape {values.shape} should have the shape {expected}.")
            if np.isnan(values).any() or (field.name != "days_high" and np.isinf(values).any()):
                raise ValueError(f"{field.name} has a value that is not a finite number.")

    def __len__(self) -> int:
        values = self.days if self.days is not None else self.risk
        assert values is not None
        return len(values)

    @property
    def order(self) -> np.ndarray:
        """By what patients are put in order: the risk, else minus the days; shape (patient,)."""
        if self.risk is not None:
            return self.risk
        assert self.days is not None
        return -self.days

    @property
    def predicted_classes(self) -> np.ndarray | None:
        """The classes as given, else those of the days; None without both."""
        if self.classes is not None:
            return self.classes
        return None if self.days is None else survival_classes(self.days)

    def survival_at(self, day: float) -> np.ndarray | None:
        """The probability to be alive after a day, shape (patient,).

        At 300 and 450 days it follows from the probabilities of the classes, elsewhere (or without them) from the
        curves, each of which keeps its value until its next day. None if neither says.
        """
        if self.probabilities is not None and day in BORDER_DAYS:
            return self.probabilities[:, BORDER_DAYS.index(day) + 1 :].sum(axis=1)
        if self.curves is None or self.curve_days is None or not self.curve_days[0] <= day <= self.curve_days[-1]:
            return None
        return self.curves[:, int(np.searchsorted(self.curve_days, day, side="right")) - 1]

    def rows(self, indices: Sequence[int] | np.ndarray) -> SurvivalPredictions:
        """These patients, in this order."""
        taken = {
            field.name: values if field.name == "curve_days" or values is None else values[indices]
            for field in fields(self)
            for values in [getattr(self, field.name)]
        }
        return SurvivalPredictions(**taken)
