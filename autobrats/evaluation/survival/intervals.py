"""Bootstrap intervals by patient, of a metric and of the difference that two predictions make."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.summary import RESAMPLES

Estimator = Callable[[np.ndarray], np.ndarray]
"""Of how often each patient is in each resample, shape (resample, patient): the metric in each, NaN if not defined."""

ENOUGH_RESAMPLES = 0.9
"""An interval needs the metric to be defined in this share of them."""
_AT_ONCE = 250
"""Resamples in memory together."""


class Score(BaseModel):
    """A metric of one prediction, or the difference of two.

    Attributes:
        value: None if it is not defined; then ``reason`` says why.
        low: the lower end of the 95 % interval, None without one.
        high: its upper end.
        patients: on whom it stands.
        reason: why there is no value.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: float | None = None
    low: float | None = None
    high: float | None = None
    patients: int = 0
    reason: str = ""


def measure(estimator: Estimator, drawn: int, *, patients: int | None = None, reason: str = "", seed: int = 0) -> Score:
    """A metric and its percentile interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        estimator: of the metric.
        drawn: how many patients there are to draw from.
        patients: on how many the metric stands (default: all of them).
        reason: told if the metric is not defined for the patients as they are.
        seed: the same seed draws the same patients for every metric and prediction.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(estimator(np.ones((1, drawn), np.float32))[0])
    number = drawn if patients is None else patients
    if not np.isfinite(value):
        return Score(patients=number, reason=reason or "not defined for these patients")
    low, high = _interval(estimator, drawn, seed)
    return Score(value=value, low=low, high=high, patients=number)


def resampled_mean(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The mean of values, shape (patient,) or (resample, patient), in each resample; NaN for an empty one.

    Args:
        draws: how often each patient is in each resample, shape (resample, patient).
    """
    with np.errstate(invalid="ignore"):
        return (draws * values).sum(axis=1, dtype=np.float64) / draws.sum(axis=1, dtype=np.float64)


def resampled_median(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The median of values, shape (patient,), in each resample, shape (resample,); NaN for an empty one."""
    order = np.argsort(values, kind="stable")
    until = np.cumsum(draws[:, order], axis=1)
    number = until[:, -1:]
    # The two middle values of an even number; of an odd one, the same value twice.
    lower = np.argmax(until >= np.ceil(number / 2), axis=1)
    upper = np.argmax(until >= np.floor(number / 2) + 1, axis=1)
    median = (values[order[lower]] + values[order[upper]]) / 2
    return np.where(number[:, 0] > 0, median, np.nan)


@lru_cache(maxsize=4)
def resample_counts(patients: int, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each patient is in each resample: float32, shape (resample, patient), not to be changed."""
    draws = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), resamples)
    counts = draws.astype(np.float32)
    counts.flags.writeable = False
    return counts


def _interval(estimator: Estimator, drawn: int, seed: int) -> tuple[float | None, float | None]:
    if drawn < 2:
        return None, None
    draws = resample_counts(drawn, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [estimator(draws[start : start + _AT_ONCE]) for start in range(0, len(draws), _AT_ONCE)]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if len(values) < ENOUGH_RESAMPLES * len(draws):
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
