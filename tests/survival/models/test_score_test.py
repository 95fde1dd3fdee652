"""The score test against the log-rank test, and against the gradient of scikit-survival's partial likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from sksurv.compare import compare_survival
from sksurv.linear_model.coxph import CoxPHOptimizer
from sksurv.util import Surv

from autobrats.survival.models.score_test import martingale_residuals, score_statistics


@pytest.fixture(params=[False, True], ids=["no ties", "ties"])
def outcome(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    days = rng.exponential(400, 120)
    return (np.ceil(days / 60) if request.param else days), rng.random(120) < 0.6


def test_two_groups_give_the_log_rank_test() -> None:
    rng = np.random.default_rng(1)
    days, died, group = rng.exponential(400, 120), rng.random(120) < 0.6, rng.integers(0, 2, 120)
    chi_square, _ = compare_survival(Surv.from_arrays(died, days), group)
    assert score_statistics(group[:, None].astype(float), days, died)[0] ** 2 == pytest.approx(chi_square, rel=1e-9)


def test_equals_the_derivatives_of_the_partial_likelihood(outcome: tuple[np.ndarray, np.ndarray]) -> None:
    days, died = outcome
    inputs = np.random.default_rng(2).normal(size=(120, 3))
    statistics = score_statistics(inputs, days, died)
    for place in range(3):
        likelihood = CoxPHOptimizer(inputs[:, [place]], died, days, np.zeros(1), "breslow")
        likelihood.update(np.zeros(1))
        score, information = -120 * likelihood.gradient[0], 120 * likelihood.hessian[0, 0]
        assert statistics[place] == pytest.approx(score / np.sqrt(information), rel=1e-9)


def test_the_score_is_the_covariance_with_the_residuals(outcome: tuple[np.ndarray, np.ndarray]) -> None:
    days, died = outcome
    residuals = martingale_residuals(days, died)
    assert residuals.sum() == pytest.approx(0, abs=1e-9)
    x = np.random.default_rng(4).normal(size=120)
    events = [x[place] - x[days >= days[place]].mean() for place in np.flatnonzero(died)]
    assert residuals @ x == pytest.approx(sum(events), rel=1e-9)


def test_a_constant_feature_says_nothing() -> None:
    assert score_statistics(np.full((4, 1), 7.0), np.arange(1.0, 5), np.ones(4, bool))[0] == 0
