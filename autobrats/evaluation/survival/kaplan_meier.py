"""The Kaplan-Meier estimate of survival: as a curve with its interval, and at given days in many resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SurvivalCurve:
    """A Kaplan-Meier curve (Kaplan and Meier 1958, doi:10.1080/01621459.1958.10501452).

    Attributes:
        patients: how many it stands on.
        deaths: how many of them died.
        days: of deaths and censoring, ascending, shape (day,); survival is 1 before the first.
        survival: from each of these days to the next, shape (day,).
        low, high: its pointwise 95 % interval, on the scale of log(-log) (Borgan and Liestøl 1990).
        at_risk: patients who were observed until each of these days, shape (day,).
        censored: patients who were last seen alive on each of these days, shape (day,).
    """

    patients: int
    deaths: int
    days: np.ndarray
    survival: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_risk: np.ndarray
    censored: np.ndarray

    def at(self, day: float) -> tuple[float, float, float] | None:
        """Survival and its interval on a day; None after the last patient was seen, unless all died."""
        if not len(self.days) or (day > self.days[-1] and self.survival[-1] > 0):
            return None
        place = int(np.searchsorted(self.days, day, side="right")) - 1
        if place < 0:
            return 1.0, 1.0, 1.0
        return float(self.survival[place]), float(self.low[place]), float(self.high[place])

    def median_days(self) -> float | None:
        """The first day on which survival is one half or less; None if it stays above."""
        reached = np.flatnonzero(self.survival <= 0.5)
        return float(self.days[reached[0]]) if len(reached) else None

    def number_at_risk(self, day: float) -> int:
        """How many patients were still observed on a day."""
        place = int(np.searchsorted(self.days, day, side="left"))
        return int(self.at_risk[place]) if place < len(self.days) else 0


def kaplan_meier(days: np.ndarray, died: np.ndarray) -> SurvivalCurve:
    """The curve of at least one patient.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).

    Raises:
        ValueError: if there are no patients.
    """
    from sksurv.nonparametric import kaplan_meier_estimator

    days, died = np.asarray(days, np.float64), np.asarray(died, bool)
    if not len(days):
        raise ValueError("A survival curve needs a patient.")
    distinct, survival, (low, high) = kaplan_meier_estimator(died, days, conf_type="log-log")
    at_risk = len(days) - np.searchsorted(np.sort(days), distinct, side="left")
    censored = np.bincount(np.searchsorted(distinct, days), ~died, len(distinct)).astype(np.int64)
    return SurvivalCurve(len(days), int(died.sum()), distinct, survival, low, high, at_risk, censored)


def separation_p(days: np.ndarray, died: np.ndarray, groups: Sequence[str]) -> float | None:
    """The p value of the log-rank test that all groups of patients live equally long; None if it is not defined.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
        groups: of the patients.
    """
    from sksurv.compare import compare_survival
    from sksurv.util import Surv

    if len(set(groups)) < 2 or not np.any(died):
        return None
    try:
        p = float(compare_survival(Surv.from_arrays(died, days), np.asarray(groups))[1])
    except np.linalg.LinAlgError:
        return None
    return p if np.isfinite(p) else None


def survival_at(days: np.ndarray, died: np.ndarray, at: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
    """Kaplan-Meier survival on given days, in each resample of the patients.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
        at: days, shape (at,); after the last day of a resample its last value is kept.
        draws: how often each patient is in each resample, shape (resample, patient); None takes all once.

    Returns:
        Shape (resample, at).
    """
    return _product_limit(days, died, at, draws, of_censoring=False)


def followed_at(days: np.ndarray, died: np.ndarray, at: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
    """The share of patients who would not be censored by given days, if nobody died; as :func:`survival_at`.

    Who dies on a day is no longer observed when others are censored on it, as in scikit-survival.
    """
    return _product_limit(days, died, at, draws, of_censoring=True)


def _product_limit(
    days: np.ndarray, died: np.ndarray, at: np.ndarray, draws: np.ndarray | None, *, of_censoring: bool
) -> np.ndarray:
    days, died = np.asarray(days, np.float64), np.asarray(died, bool)
    drawn = np.ones((1, len(days))) if draws is None else np.asarray(draws, np.float64)
    order = np.argsort(days, kind="stable")
    distinct, starts = np.unique(days[order], return_index=True)
    leaving = np.add.reduceat(drawn[:, order], starts, axis=1)
    deaths = np.add.reduceat(drawn[:, order] * died[order], starts, axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    events = deaths
    if of_censoring:
        events, at_risk = leaving - deaths, at_risk - deaths
    share = np.divide(events, at_risk, out=np.zeros_like(events), where=events > 0)
    curve = np.hstack([np.ones((len(drawn), 1)), np.cumprod(1 - share, axis=1)])
    return curve[:, np.searchsorted(distinct, at, side="right")]
