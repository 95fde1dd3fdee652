"""An accelerated failure time model, fitted to deaths and censorings by penalised maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Distribution = Literal["log_normal", "log_logistic", "weibull"]


@dataclass(frozen=True)
class AcceleratedFailureTime:
    """log(days) = intercept + inputs . coefficients + scale * error.

    Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2nd edition, 2002, section 3.6.

    Attributes:
        distribution: of the days: the error is normal, logistic, or of the smallest extreme value.
        intercept: in log days.
        coefficients: shape (input,).
        scale: of the error, above 0.
    """

    distribution: Distribution
    intercept: float
    coefficients: np.ndarray
    scale: float

    @classmethod
    def fit(
        cls,
        inputs: np.ndarray,
        days: np.ndarray,
        died: np.ndarray,
        *,
        alpha: float = 1.0,
        distribution: Distribution = "log_normal",
    ) -> AcceleratedFailureTime:
        """Maximise the log likelihood minus ``alpha / 2`` times the squared coefficients over the scale.

        Args:
            inputs: shape (patient, input), about standardised.
            days: shape (patient,), above 0.
            died: shape (patient,).
        """
        from scipy.optimize import minimize

        log_days = np.log(days)
        centre, spread = float(log_days.mean()), max(float(log_days.std()), 1e-3)
        outcome = (log_days - centre) / spread
        design = np.column_stack([np.ones(len(days)), inputs])
        penalty = np.full(design.shape[1], alpha)
        penalty[0] = 0

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            # In slopes / scale and 1 / scale the likelihood is concave (Burridge, JRSS B 1981).
            slopes, log_precision = parameters[:-1], parameters[-1]
            precision = np.exp(log_precision)
            error = precision * outcome - design @ slopes
            log_density, log_survival, density_slope, survival_slope = _log_likelihoods(distribution, error)
            value = -np.where(died, log_density + log_precision, log_survival).sum() + 0.5 * (penalty * slopes**2).sum()
            by_error = -np.where(died, density_slope, survival_slope)
            by_slopes = -(design.T @ by_error) + penalty * slopes
            by_precision = (by_error * outcome).sum() * precision - died.sum()
            return float(value), np.append(by_slopes, by_precision)

        start = np.zeros(design.shape[1] + 1)
        found = minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
        )
        scale = float(np.exp(-found.x[-1]))
        slopes = found.x[:-1] * scale * spread
        return cls(distribution, centre + float(slopes[0]), slopes[1:], scale * spread)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The median of the days, as a logarithm, shape (patient,)."""
        median_error = float(np.log(np.log(2))) if self.distribution == "weibull" else 0.0
        return self.intercept + inputs @ self.coefficients + self.scale * median_error


def _log_likelihoods(
    distribution: Distribution, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log density, log survival, and the derivatives of both."""
    from scipy.special import expit, log_expit, log_ndtr

    if distribution == "log_normal":
        log_density = -0.5 * (error**2 + np.log(2 * np.pi))
        log_survival = log_ndtr(-error)
        return log_density, log_survival, -error, -np.exp(log_density - log_survival)
    if distribution == "log_logistic":
        log_survival = log_expit(-error)
        share = expit(error)
        return error + 2 * log_survival, log_survival, 1 - 2 * share, -share
    hazard = np.exp(np.minimum(error, 50.0))
    return error - hazard, -hazard, 1 - hazard, -hazard
