"""From risks and class scores to probabilities and days, learnt from out-of-fold predictions."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.survival.portal import CLASSES, LONG_ABOVE_DAYS, SHORT_BELOW_DAYS, survival_classes
from autobrats.survival.models.censoring import class_weights
from autobrats.survival.models.cox import CoxRegression

SLOPE_PENALTY = 1e-3
TAIL_SHARE = 0.2
"""Of the days on which someone died, the last, from which the hazard beyond the follow-up is taken."""


class RiskCalibration(BaseModel):
    """A Cox model of one covariate, the risk: S(t) = S0(t) ** exp(slope * z).

    Risks may come in any scale: z is the risk minus its mean, over its deviation, and is held within the range that was seen.
    A slope below 0 (worse than chance) or a constant risk leaves the Kaplan-Meier curve for everyone. S0 is the product-limit
    estimate of Kalbfleisch and Prentice (Biometrika 1973, doi:10.1093/biomet/60.2.267).

    After the last day of the follow-up, and there alone, curves go on with a constant hazard, that of the last fifth of the
    days on which someone died.

    Attributes:
        centre: mean of the risks.
        spread: standard deviation of the risks; 1 if they are all the same.
        lowest, highest: z seen.
        slope: 0 or more.
        event_days: days on which someone died, ascending.
        baseline: S0 from each of these days on.
        last_day: of the follow-up.
        tail_rate: baseline hazard a day after that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    centre: float
    spread: float
    lowest: float
    highest: float
    slope: float
    event_days: tuple[float, ...]
    baseline: tuple[float, ...]
    last_day: float
    tail_rate: float

    @classmethod
    def fit(cls, risk: np.ndarray, days: np.ndarray, died: np.ndarray) -> RiskCalibration:
        """Learn from risks that models gave to patients whom they had not seen.

        Args:
            risk: shape (patient,), higher where patients die sooner.
            days: shape (patient,).
            died: shape (patient,), at least one True.
        """
        centre, spread = float(np.mean(risk)), float(np.std(risk))
        if spread <= 1e-12 * max(1.0, abs(centre)):
            spread = 1.0
        scaled = (np.asarray(risk, dtype=float) - centre) / spread
        slope = max(0.0, float(CoxRegression.fit(scaled[:, None], days, died, alpha=SLOPE_PENALTY).coefficients[0]))
        if np.ptp(scaled) < 1e-9:
            slope = 0.0
        event_days, baseline = _product_limit(np.exp(slope * scaled), days, died)
        return cls(
            centre=centre,
            spread=spread,
            lowest=float(scaled.min()),
            highest=float(scaled.max()),
            slope=slope,
            event_days=tuple(event_days.tolist()),
            baseline=tuple(baseline.tolist()),
            last_day=float(days.max()),
            tail_rate=_tail_rate(event_days, baseline, float(days.max())),
        )

    def curves(self, risk: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The probability of living longer than each of ``times`` (days), shape (patient, time)."""
        return np.exp(-np.outer(self._relative_hazard(risk), self._baseline_hazard(np.asarray(times, dtype=float))))

    def class_probabilities(self, risk: np.ndarray) -> np.ndarray:
        """The probabilities of dying before day 300, from 300 to 450, and after 450, shape (patient, 3)."""
        at_least_mid, long = self.curves(risk, np.array([np.nextafter(SHORT_BELOW_DAYS, 0), LONG_ABOVE_DAYS])).T
        return np.column_stack([1 - at_least_mid, at_least_mid - long, long])

    def median_days(self, risk: np.ndarray) -> np.ndarray:
        """The first day on which the curve is at one half or below, shape (patient,).

        Where that is not within the follow-up, the curve is extrapolated as the class says.
        """
        needed = np.log(2) / self._relative_hazard(risk)
        hazard = self._event_hazard()
        reached = np.searchsorted(hazard, needed * (1 - 1e-12))
        within = np.append(self.event_days, np.nan)[reached]
        beyond = self.last_day + (needed - hazard[-1]) / self.tail_rate if np.isfinite(hazard[-1]) else within
        return np.where(np.isnan(within), beyond, within)

    def days(self, risk: np.ndarray) -> np.ndarray:
        """:meth:`median_days`, but no more than the longest follow-up, shape (patient,)."""
        return np.minimum(self.median_days(risk), self.last_day)

    def _relative_hazard(self, risk: np.ndarray) -> np.ndarray:
        scaled = np.clip((np.asarray(risk, dtype=float) - self.centre) / self.spread, self.lowest, self.highest)
        return np.exp(self.slope * scaled)

    def _event_hazard(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return -np.log(np.asarray(self.baseline))

    def _baseline_hazard(self, times: np.ndarray) -> np.ndarray:
        steps = np.concatenate([[0.0], self._event_hazard()])
        within = steps[np.searchsorted(self.event_days, times, side="right")]
        return within + self.tail_rate * np.maximum(times - self.last_day, 0)


class ClassCalibration(BaseModel):
    """Temperature scaling: probabilities to the power 1 / temperature, made to sum to 1.

    Guo et al., ICML 2017 (arXiv:1706.04599).

    Attributes:
        temperature: above 1 where the scores were too sure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float

    @classmethod
    def fit(cls, scores: np.ndarray, days: np.ndarray, died: np.ndarray) -> ClassCalibration:
        """Minimise the log loss of out-of-fold scores of the patients whose class is certain.

        Args:
            scores: shape (patient, 3).
            days: shape (patient,).
            died: shape (patient,).
        """
        from scipy.optimize import minimize_scalar

        weights = class_weights(days, died)
        truth = np.eye(len(CLASSES))[survival_classes(days)]

        def loss(log_temperature: float) -> float:
            probabilities = cls(temperature=float(np.exp(log_temperature))).apply(scores)
            return -float(weights @ (truth * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1))

        found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
        return cls(temperature=float(np.exp(found.x)))

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, shape (patient, 3)."""
        from scipy.special import softmax

        return softmax(np.log(np.maximum(scores, 1e-6)) / self.temperature, axis=1)


def _product_limit(relative_hazard: np.ndarray, days: np.ndarray, died: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days on which someone died, and the survival of a patient of relative hazard 1 from each on.

    The factor a of a day solves sum over the day's deaths of h / (1 - a ** h) = sum of h over the risk set.
    """
    from scipy.optimize import brentq

    event_days = np.unique(days[died])
    factors = np.zeros(len(event_days))
    for place, day in enumerate(event_days):
        total = relative_hazard[days >= day].sum()
        dying = relative_hazard[died & (days == day)]
        if total <= dying.sum() * (1 + 1e-12):
            continue
        if np.ptp(dying) == 0:
            factors[place] = (1 - dying.sum() / total) ** (1 / dying[0])
            continue
        # Between the factors that hold if all of the day's deaths had the lowest or the highest of their hazards.
        ends = [
            np.log1p(-len(dying) * h / total) / h if len(dying) * h < total else -745.0
            for h in (dying.min(), dying.max())
        ]
        excess = lambda log_a, dying=dying, total=total: (dying / -np.expm1(log_a * dying)).sum() - total  # noqa: E731
        factors[place] = np.exp(brentq(excess, min(ends) * 1.001 - 1e-12, max(ends) * 0.999))
    return event_days, np.cumprod(factors)


def _tail_rate(event_days: np.ndarray, baseline: np.ndarray, last_day: float) -> float:
    """Baseline hazard a day since the last fifth of the event days began; 0 if nobody is left."""
    if baseline[-1] == 0:
        return 0.0
    before = int((1 - TAIL_SHARE) * len(event_days)) - 1
    start, hazard = (event_days[before], -np.log(baseline[before])) if before >= 0 else (0.0, 0.0)
    return float((-np.log(baseline[-1]) - hazard) / (last_day - start))
