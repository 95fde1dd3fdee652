"""Concordance indices: how often the patient with the higher risk is the one who died first."""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.censoring import Censoring

TIED_RISK = 1e-8
"""Risks that differ by no more are tied, as in scikit-survival."""
_ROWS = 128
"""Deaths that are compared at once: their differences stay in the processor's cache."""


class ComparablePairs:
    """The pairs of patients of whom it is known who died first; made once, asked for many risks.

    A pair is comparable if the earlier day is a death: the other patient has a later day, or was censored on the same
    one. Two deaths on one day are not comparable.

    Attributes:
        patients: how many there are.
        count: the number of comparable pairs.
    """

    def __init__(self, days: np.ndarray, died: np.ndarray) -> None:
        """Find the pairs.

        Args:
            days: to death or censoring, shape (patient,).
            died: bool, shape (patient,).

        Raises:
            ValueError: if the shapes differ or a day is not finite.
        """
        days, died = np.asarray(days, np.float64), np.asarray(died, bool)
        if days.ndim != 1 or days.shape != died.shape:
            raise ValueError(f"Days of shape {days.shape} and events of shape {died.shape} do not fit.")
        if not np.isfinite(days).all():
            raise ValueError("A day is not finite.")
        self.patients = len(days)
        # In order of days, deaths before censoring, those comparable with a death are a tail of the patients.
        self._order = np.lexsort((~died, days))
        ordered_days, ordered_died = days[self._order], died[self._order]
        last_of_day = np.searchsorted(ordered_days, ordered_days, side="right")
        deaths_until = np.concatenate([[0], np.cumsum(ordered_died)])
        first_of_day = np.searchsorted(ordered_days, ordered_days, side="left")
        self._deaths = np.flatnonzero(ordered_died)
        tails = first_of_day + deaths_until[last_of_day] - deaths_until[first_of_day]
        self._tails = tails[self._deaths]
        self._in_tail = np.arange(self.patients) >= self._tails[:, None]
        self.count = int((self.patients - self._tails).sum())

    def harrell(self, risk: np.ndarray) -> float:
        """Harrell's C (Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4).

        The share of comparable pairs in which the patient who died first has the higher risk; tied risks count half.

        Args:
            risk: shape (patient,); higher means an earlier death.

        Returns:
            0 to 1, 0.5 for chance; NaN if no pair is comparable.

        Raises:
            ValueError: if a risk is not finite, or there is not one for each patient.
        """
        ordered = self._ordered(risk)
        if not self.count:
            return float("nan")
        twice = 0
        for start in range(0, len(self._deaths), _ROWS):
            rows = slice(start, start + _ROWS)
            difference = ordered[None, :] - ordered[self._deaths[rows], None]
            tail = self._in_tail[rows]
            # A pair in order is counted by both comparisons, a tied one by one of them.
            twice += int(np.count_nonzero((difference < -TIED_RISK) & tail))
            twice += int(np.count_nonzero((difference <= TIED_RISK) & tail))
        return twice / (2 * self.count)

    def resampled(self, risk: np.ndarray, draws: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The C of many resamples of the patients, exactly as if each had been built and scored by itself.

        Args:
            risk: shape (patient,).
            draws: how often each patient is in each resample, shape (resample, patient).
            weights: of the pairs of each patient's death, shape (patient,) or (resample, patient); Harrell's C has none.

        Returns:
            Shape (resample,); NaN for a resample without a comparable pair.

        Raises:
            ValueError: if a risk is not finite, or there is not one for each patient.
        """
        ordered = self._ordered(risk)
        drawn = np.asarray(draws, np.float32)[:, self._order]
        weight = np.ones((1, self.patients)) if weights is None else np.atleast_2d(weights)[:, self._order]
        concordant, comparable = np.zeros(len(drawn)), np.zeros(len(drawn))
        for start in range(0, len(self._deaths), _ROWS):
            deaths, tail = self._deaths[start : start + _ROWS], self._in_tail[start : start + _ROWS]
            difference = ordered[None, :] - ordered[deaths, None]
            score = ((difference < -TIED_RISK) * np.float32(0.5) + (difference <= TIED_RISK) * np.float32(0.5)) * tail
            of_death = drawn[:, deaths] * weight[:, deaths]
            # Sums of halves below 2**23 are exact in single precision.
            concordant += np.einsum("re,re->r", of_death, drawn @ score.T)
            comparable += np.einsum("re,re->r", of_death, drawn @ tail.T.astype(np.float32))
        with np.errstate(invalid="ignore"):
            return concordant / comparable

    def _ordered(self, risk: np.ndarray) -> np.ndarray:
        risk = np.asarray(risk, np.float64)
        if risk.shape != (self.patients,):
            raise ValueError(f"{self.patients} patients need as many risks; got an array of {risk.shape}.")
        if not np.isfinite(risk).all():
            raise ValueError("A risk is not finite.")
        return risk[self._order]


def harrell_c(days: np.ndarray, died: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C of one prediction; see :meth:`ComparablePairs.harrell`.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
        risk: shape (patient,); higher means an earlier death.

    Returns:
        0 to 1, 0.5 for chance; NaN if no pair is comparable.

    Raises:
        ValueError: if the shapes differ or a number is not finite.
    """
    return ComparablePairs(days, died).harrell(risk)


def ipcw_c_many(risk: np.ndarray, censoring: Censoring, draws: np.ndarray) -> np.ndarray:
    """The C of Uno et al. (2011, doi:10.1002/sim.4154) in many resamples: it does not depend on who was censored when.

    Every pair counts by the inverse square of the share that would be followed until its earlier day; deaths after
    ``censoring.horizon_days`` start no pair.

    Args:
        risk: shape (patient,); higher means an earlier death.
        censoring: of these patients.
        draws: how often each patient is in each resample, shape (resample, patient).

    Returns:
        Shape (resample,); NaN for a resample without a comparable pair.
    """
    weights = np.square(censoring.death_weights(draws))
    return ComparablePairs(censoring.days, censoring.died).resampled(risk, draws, weights)
