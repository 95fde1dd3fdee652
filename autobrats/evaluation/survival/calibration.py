"""Calibration: does one in four of those die early whom the model gives a probability of one in four?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.intervals import Score, measure
from autobrats.evaluation.survival.kaplan_meier import kaplan_meier, survival_at
from autobrats.evaluation.survival.time_dependent import is_within_follow_up

MOST_GROUPS, LEAST_IN_GROUP = 5, 20
"""Groups of patients with similar predictions, and how many patients each needs to say something."""
CLIPPED = 1e-3
"""Probabilities nearer to 0 or 1 are taken as this, since their logit has no bound."""

_NEWTON_STEPS = 30
_LEAST_VARIANCE = 1e-6
"""Of the outcome given the fit, a patient: below it the slope runs to infinity."""


class CalibrationGroup(BaseModel):
    """Patients with similar predictions of being alive after a day.

    Attributes:
        patients: how many.
        predicted: their mean predicted probability.
        observed: their Kaplan-Meier survival, None if they were not followed that long.
        low, high: its 95 % interval.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    patients: int
    predicted: float
    observed: float | None = None
    low: float | None = None
    high: float | None = None


class Calibration(BaseModel):
    """How predicted survival compares with what was observed on one day.

    Attributes:
        day: the day.
        groups: by predicted probability, ascending.
        slope: of the logistic recalibration; 1 is right, below 1 the predictions are too extreme.
        in_the_large: observed minus mean predicted survival; 0 is right, above 0 the model is too gloomy.
    """

    model_config = ConfigDict(extra="forbid")

    day: float
    groups: list[CalibrationGroup]
    slope: Score
    in_the_large: Score


def calibrate(survival: np.ndarray, day: float, censoring: Censoring, *, seed: int = 0) -> Calibration:
    """Compare predicted survival with what was observed, in groups and as a whole.

    Args:
        survival: the predicted probability to be alive after the day, shape (patient,).
        day: without deaths before it or patients followed beyond it, there is no slope.
        censoring: of these patients, with their outcomes.
        seed: of the intervals.
    """
    days, died, number = censoring.days, censoring.died, len(censoring.days)
    if not is_within_follow_up(day, censoring):
        reason = f"too few deaths before or patients after {day:g} days"
        return Calibration(
            day=day,
            groups=_groups(survival, day, days, died),
            slope=Score(patients=number, reason=reason),
            in_the_large=Score(patients=number, reason=reason),
        )
    return Calibration(
        day=day,
        groups=_groups(survival, day, days, died),
        slope=measure(
            lambda draws: resampled_slope(survival, day, censoring, draws),
            number,
            reason="the predictions are all the same, or they separate the dead from the living",
            seed=seed,
        ),
        in_the_large=measure(
            lambda draws: _observed_minus_predicted(survival, day, days, died, draws), number, seed=seed
        ),
    )


def resampled_slope(survival: np.ndarray, day: float, censoring: Censoring, draws: np.ndarray) -> np.ndarray:
    """The calibration slope in many resamples (Cox 1958, doi:10.1093/biomet/45.3-4.562).

    It is b in logit P(alive after the day) = a + b logit(predicted), fitted by maximum likelihood; patients who were
    censored before are represented by others through inverse probability weights.

    Args:
        survival: the predicted probability to be alive after the day, shape (patient,).
        day: within the follow-up.
        censoring: of these patients.
        draws: how often each patient is in each resample, shape (resample, patient).

    Returns:
        Shape (resample,); NaN where all predictions are the same or separate the dead from the living.
    """
    clipped = np.clip(survival, CLIPPED, 1 - CLIPPED)
    logit = np.log(clipped / (1 - clipped))
    alive = censoring.days > day
    dead = censoring.died & (censoring.days <= day)
    stands_for = np.where(alive, censoring.survivor_weights(np.array([day]), draws), 0.0)
    stands_for = stands_for + np.where(dead, censoring.death_weights(draws), 0.0)
    return _logistic_slope(logit, alive.astype(np.float64), np.asarray(draws, np.float64) * stands_for)


def _logistic_slope(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Newton's method for a weighted logistic regression on one variable, shape (resample,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1, keepdims=True)
        centre = (weights @ x)[:, None] / total
        spread = np.sqrt((weights * (x - centre) ** 2).sum(axis=1, keepdims=True) / total)
        z = np.where(spread > 1e-9, (x - centre) / spread, np.nan)  # all the same: no slope
        share = np.clip((weights @ y)[:, None] / total, CLIPPED, 1 - CLIPPED)
        intercept, slope = np.log(share / (1 - share)), np.zeros_like(share)
        for _ in range(_NEWTON_STEPS):
            p = 1 / (1 + np.exp(-np.clip(intercept + slope * z, -30, 30)))
            error, variance = weights * (y - p), weights * p * (1 - p)
            gradient = error.sum(axis=1), (error * z).sum(axis=1)
            unsettled = ~(np.hypot(*gradient) <= 1e-8 * total[:, 0])  # NaN is not settled either
            a, b, c = variance.sum(axis=1), (variance * z).sum(axis=1), (variance * z**2).sum(axis=1)
            if not unsettled.any():
                break
            determinant = a * c - b * b
            intercept = intercept + ((c * gradient[0] - b * gradient[1]) / determinant)[:, None]
            slope = slope + ((a * gradient[1] - b * gradient[0]) / determinant)[:, None]
        found = (slope / spread)[:, 0]
        return np.where(unsettled | (a < _LEAST_VARIANCE * total[:, 0]), np.nan, found)


def _observed_minus_predicted(
    survival: np.ndarray, day: float, days: np.ndarray, died: np.ndarray, draws: np.ndarray
) -> np.ndarray:
    drawn = np.asarray(draws, np.float64)
    return survival_at(days, died, np.array([day]), drawn)[:, 0] - drawn @ survival / drawn.sum(axis=1)


def _groups(survival: np.ndarray, day: float, days: np.ndarray, died: np.ndarray) -> list[CalibrationGroup]:
    number = int(np.clip(len(days) // LEAST_IN_GROUP, 1, MOST_GROUPS))
    borders = np.unique(np.quantile(survival, np.arange(1, number) / number))
    place = np.searchsorted(borders, survival, side="right")
    members = [place == group for group in np.unique(place)]
    return [_group(survival[who], day, days[who], died[who]) for who in members]


def _group(survival: np.ndarray, day: float, days: np.ndarray, died: np.ndarray) -> CalibrationGroup:
    observed: Sequence[float | None] = kaplan_meier(days, died).at(day) or (None, None, None)
    value, low, high = (None if end is None or not np.isfinite(end) else float(end) for end in observed)
    return CalibrationGroup(patients=len(days), predicted=float(survival.mean()), observed=value, low=low, high=high)
