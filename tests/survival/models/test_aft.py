"""The accelerated failure time model against least squares, scipy's fits of censored data, and scipy's likelihoods."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autobrats.survival.models.aft import AcceleratedFailureTime

ERRORS = {"log_normal": stats.norm, "log_logistic": stats.logistic, "weibull": stats.gumbel_l}
TINY = 1e-9


@pytest.fixture
def censored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(150, 2))
    log_days = 6 - 0.5 * inputs[:, 0] + 0.6 * rng.normal(size=150)
    end = 6.3 + rng.normal(size=150)
    return inputs, np.exp(np.minimum(log_days, end)), log_days <= end


def test_without_censoring_log_normal_is_least_squares() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 3))
    days = np.exp(5 + inputs @ [0.4, -0.2, 0.0] + 0.3 * rng.normal(size=60))
    fitted = AcceleratedFailureTime.fit(inputs, days, np.ones(60, bool), alpha=TINY)
    solution, squares, *_ = np.linalg.lstsq(np.column_stack([np.ones(60), inputs]), np.log(days))
    np.testing.assert_allclose([fitted.intercept, *fitted.coefficients], solution, atol=1e-5)
    assert fitted.scale == pytest.approx(np.sqrt(squares[0] / 60), rel=1e-5)


@pytest.mark.parametrize("distribution", ERRORS)
def test_without_features_equals_the_fit_of_scipy(distribution: str, censored: tuple) -> None:
    _, days, died = censored
    data = stats.CensoredData(uncensored=np.log(days[died]), right=np.log(days[~died]))
    location, scale = ERRORS[distribution].fit(data)
    fitted = AcceleratedFailureTime.fit(np.zeros((len(days), 0)), days, died, alpha=1.0, distribution=distribution)
    assert (fitted.intercept, fitted.scale) == pytest.approx((location, scale), abs=1e-3)
    median = ERRORS[distribution].median(location, scale)
    np.testing.assert_allclose(fitted.predict(np.zeros((2, 0))), median, atol=1e-3)


@pytest.mark.parametrize("distribution", ERRORS)
def test_no_other_coefficients_are_likelier(distribution: str, censored: tuple) -> None:
    inputs, days, died = censored

    def likelihood(intercept: float, slopes: np.ndarray, scale: float) -> float:
        error = ERRORS[distribution](intercept + inputs @ slopes, scale)
        return float(np.where(died, error.logpdf(np.log(days)), error.logsf(np.log(days))).sum())

    fitted = AcceleratedFailureTime.fit(inputs, days, died, alpha=TINY, distribution=distribution)
    best = likelihood(fitted.intercept, fitted.coefficients, fitted.scale)
    for step in (0.01, -0.01):
        assert likelihood(fitted.intercept + step, fitted.coefficients, fitted.scale) < best
        assert likelihood(fitted.intercept, fitted.coefficients, fitted.scale * (1 + step)) < best
        for place in range(2):
            moved = fitted.coefficients + step * np.eye(2)[place]
            assert likelihood(fitted.intercept, moved, fitted.scale) < best
    # 97 of 150 died: the standard error of a slope is about 0.06.
    np.testing.assert_allclose(fitted.coefficients, [-0.5, 0], atol=0.2)
