"""Prediction intervals for days, from how far out-of-fold predictions were off."""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.survival.kaplan_meier import survival_at


class DaysInterval(BaseModel):
    """An interval around predicted days that holds the true ones with a given probability, whatever the model.

    Cross-conformal prediction: the errors are those of out-of-fold predictions (Vovk, Annals of Mathematics and Artificial
    Intelligence 2015, doi:10.1007/s10472-013-9368-4; the CV+ of Barber et al., Annals of Statistics 2021,
    doi:10.1214/20-AOS1965, with the final model in place of those of the folds), as log(true days / predicted days). A part
    of (1 - coverage) / 2 lies below the interval, and as much above.

    Censored patients enter through inverse-probability-of-censoring weights, as in Candes, Lei and Ren (JRSS B 2023,
    doi:10.1093/jrsssb/qkac004), here on the scale of the errors: the weighted distribution is then the product-limit estimate
    of Kaplan and Meier (Satten and Datta, American Statistician 2001, doi:10.1198/000313001317098185), and its upper part can
    be known even where the longest survivors are all censored. It takes for granted that neither error nor censoring tells
    of the other. Without censoring nothing is taken for granted but that new patients are like those of the cohort.

    Attributes:
        coverage: the probability.
        low: lower end, log(days / predicted days); None where too few patients tell: the end is 0 days.
        high: upper end, likewise; None where too many were alive when last seen, or too few patients tell: there is no end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    coverage: float
    low: float | None
    high: float | None

    @classmethod
    def fit(cls, log_days: np.ndarray, days: np.ndarray, died: np.ndarray, coverage: float = 0.9) -> DaysInterval:
        """Learn from out-of-fold predictions.

        Args:
            log_days: predicted, natural logarithm, shape (patient,).
            days: shape (patient,).
            died: shape (patient,).
            coverage: between 0 and 1.
        """
        errors = np.log(days) - log_days
        tail = (1 - coverage) / 2
        ends = np.unique(errors[died])
        # The new patient's error is one more, and may be the lowest or the highest of all.
        places = len(days) + 1
        up_to = len(days) * (1 - survival_at(errors, died, ends)[0])
        below = np.concatenate([[0.0], up_to[:-1]])
        lows = ends[below + 1 <= tail * places + 1e-9]
        highs = ends[up_to >= (1 - tail) * places - 1e-9]
        return cls(
            coverage=coverage,
            low=float(lows[-1]) if len(lows) else None,
            high=float(highs[0]) if len(highs) else None,
        )

    def ends(self, log_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends in days, each of shape (patient,); 0 and infinity where there is none."""
        low = np.exp(log_days + (-math.inf if self.low is None else self.low))
        high = np.exp(log_days + (math.inf if self.high is None else self.high))
        return low, high
