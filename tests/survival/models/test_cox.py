"""Our Cox regression is scikit-survival's, and finds a maximum where that gives up."""

from __future__ import annotations

import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from autobrats.survival.models.cox import CoxRegression


def outcome(rng: np.random.Generator, inputs: np.ndarray, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    days = np.exp(6 - 0.7 * inputs[:, 0] + rng.normal(size=len(inputs)))
    end = np.exp(6.5 + rng.normal(size=len(inputs)))
    observed = np.minimum(days, end)
    return np.ceil(observed / 100) if ties else observed, days <= end


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 50.0])
@pytest.mark.parametrize("features", [1, 6])
def test_equals_scikit_survival(features: int, alpha: float, ties: bool) -> None:
    rng = np.random.default_rng(features)
    inputs = rng.normal(size=(90, features))
    days, died = outcome(rng, inputs, ties)
    reference = CoxPHSurvivalAnalysis(alpha=alpha, ties="efron", tol=1e-13).fit(inputs, Surv.from_arrays(died, days))
    ours = CoxRegression.fit(inputs, days, died, alpha=alpha)
    np.testing.assert_allclose(ours.coefficients, reference.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        ours.predict(inputs[:5]), (inputs[:5] - inputs.mean(axis=0)) @ reference.coef_, atol=1e-6
    )


def test_features_that_tell_the_order_without_fault() -> None:
    days = np.exp(np.random.default_rng(0).normal(6, 1, 80))
    inputs = -np.log(days)[:, None] - 6
    fitted = CoxRegression.fit(np.hstack([inputs, inputs]), days, np.ones(80, bool), alpha=1e-4)
    assert np.isfinite(fitted.coefficients).all()
    assert (np.diff(fitted.predict(np.hstack([inputs, inputs]))[np.argsort(days)]) < 0).all()
    assert fitted.coefficients[0] == pytest.approx(fitted.coefficients[1], rel=1e-6)


def test_everyone_dies_on_one_day() -> None:
    inputs = np.arange(6.0)[:, None]
    fitted = CoxRegression.fit(inputs, np.full(6, 100.0), np.ones(6, bool), alpha=0.1)
    assert fitted.coefficients == pytest.approx([0], abs=1e-9)
