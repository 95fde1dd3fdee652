"""Summaries of a metric over cases, with bootstrap intervals by patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict

RESAMPLES = 2000


class Summary(BaseModel):
    """A metric over cases; every figure is None if no case has a value.

    Attributes:
        n: cases with a value.
        mean: their mean.
        std: the sample standard deviation (0 for one case).
        median: the 50th percentile, between ``q25`` and ``q75``.
        low: the lower end of the 95 % interval of the mean, None for a single patient.
        high: its upper end.
    """

    model_config = ConfigDict(extra="forbid")

    n: int
    mean: float | None = None
    std: float | None = None
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    low: float | None = None
    high: float | None = None


def summarise(values: Sequence[float | None], patients: Sequence[str], *, seed: int = 0) -> Summary:
    """Summarise one value a case; None, NaN and infinite values are left out (``n`` counts the rest).

    The interval of the mean is a percentile bootstrap (Efron and Tibshirani 1993, chapter 13) that draws patients, not
    cases, because the cases of a patient resemble each other.

    Raises:
        ValueError: if there is not one patient for each value.
    """
    kept = [
        (value, patient)
        for value, patient in zip(values, patients, strict=True)
        if value is not None and math.isfinite(value)
    ]
    if not kept:
        return Summary(n=0)
    numbers = np.array([value for value, _ in kept], np.float64)
    q25, median, q75 = np.percentile(numbers, [25, 50, 75])
    low, high = bootstrap_interval(numbers, [patient for _, patient in kept], seed=seed)
    return Summary(
        n=len(numbers),
        mean=float(numbers.mean()),
        std=float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0,
        q25=float(q25),
        median=float(median),
        q75=float(q75),
        low=low,
        high=high,
    )


def bootstrap_interval(
    values: np.ndarray, patients: Sequence[str], *, seed: int = 0
) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean of ``values``, shape (cases,), resampled by patient; Nones for one patient."""
    owner = np.unique(np.asarray(patients), return_inverse=True)[1]
    count = int(owner.max()) + 1
    if count < 2:
        return None, None
    sums = np.bincount(owner, values, count)
    cases = np.bincount(owner, minlength=count)
    draws = _draws(count, seed)
    low, high = np.percentile((draws @ sums) / (draws @ cases), [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=8)
def _draws(patients: int, seed: int) -> np.ndarray:
    """How often each patient is drawn in each resample, shape (resample, patient)."""
    draws = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), RESAMPLES)
    return draws.astype(np.float64)
