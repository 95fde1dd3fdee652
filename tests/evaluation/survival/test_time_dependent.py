"""Kaplan-Meier, AUC, Brier scores and the calibration slope against scikit-survival and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sksurv.metrics import brier_score, cumulative_dynamic_auc, integrated_brier_score
from sksurv.nonparametric import CensoringDistributionEstimator, SurvivalFunctionEstimator
from sksurv.util import Surv

from autobrats.evaluation.survival.calibration import calibrate, resampled_slope
from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.kaplan_meier import followed_at, kaplan_meier, survival_at
from autobrats.evaluation.survival.time_dependent import (
    days_within_follow_up,
    is_within_follow_up,
    resampled_auc,
    resampled_brier,
    resampled_integrated_brier,
    resampled_mean_auc,
)

ONCE = np.ones((1, 150))
# Gehan (1965): weeks in remission of 21 leukaemia patients with 6-MP; those with a plus were censored.
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], float)
RELAPSED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], bool)


def cohort(seed: int = 0, number: int = 150, *, whole_days: bool = False) -> tuple[np.ndarray, ...]:
    """Days, died, risk and the true probability to be alive after 300 and 450 days (exponential)."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=number)
    scale = 600 * np.exp(-0.8 * risk)
    life, lost = rng.exponential(scale), rng.uniform(20, 1800, number)
    days = np.minimum(life, lost) + 1
    if whole_days:
        days = np.ceil(days / 30) * 30
    return days, life <= lost, risk, np.exp(-np.array([300.0, 450.0]) / scale[:, None])


def test_gehans_patients() -> None:
    curve = kaplan_meier(WEEKS, RELAPSED)
    # Collett, Modelling Survival Data in Medical Research, and many others: 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448.
    expected = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for week, survival in expected.items():
        at = curve.at(week)
        assert at is not None and at[0] == pytest.approx(survival, abs=5e-4)
    assert curve.at(5) == (1.0, 1.0, 1.0) and curve.at(36) is None
    assert curve.median_days() == 23 and curve.deaths == 9
    assert [curve.number_at_risk(week) for week in (0, 6, 7, 10, 23, 35, 40)] == [21, 21, 17, 15, 6, 1, 0]


@pytest.mark.parametrize("whole_days", [True, False])
def test_survival_and_follow_up_are_those_of_scikit_survival_in_every_resample(whole_days: bool) -> None:
    days, died, *_ = cohort(2, whole_days=whole_days)
    at = np.quantile(days, [0.1, 0.35, 0.6, 0.8])
    draws = np.random.default_rng(0).multinomial(150, np.full(150, 1 / 150), 10)
    ours = survival_at(days, died, at, draws), followed_at(days, died, at, draws)
    for row, drawn in enumerate(draws):
        who = np.repeat(np.arange(150), drawn)
        outcomes = Surv.from_arrays(died[who], days[who])
        assert ours[0][row] == pytest.approx(SurvivalFunctionEstimator().fit(outcomes).predict_proba(at), abs=1e-12)
        assert ours[1][row] == pytest.approx(
            CensoringDistributionEstimator().fit(outcomes).predict_proba(at), abs=1e-12
        )


@pytest.mark.parametrize("with_training", [True, False])
@pytest.mark.parametrize("whole_days", [True, False])
def test_auc_and_brier_scores_are_those_of_scikit_survival(with_training: bool, whole_days: bool) -> None:
    days, died, risk, survival = cohort(3, whole_days=whole_days)
    train_days, train_died, *_ = cohort(4, whole_days=whole_days)
    training = (train_days, train_died) if with_training else None
    censoring = Censoring(days, died, training)
    source = Surv.from_arrays(*((train_died, train_days) if with_training else (died, days)))
    horizon = censoring.horizon_days
    # What happens after the horizon is unknown to the weights; before it, nothing changes.
    outcomes = Surv.from_arrays(died & (days <= horizon), np.minimum(days, horizon + 1e-6))

    times = days_within_follow_up(censoring)
    assert len(times) > 3 and times[-1] <= horizon
    auc, mean_auc = cumulative_dynamic_auc(source, outcomes, risk, times)
    assert resampled_auc(risk, times, censoring, ONCE)[0] == pytest.approx(auc, abs=1e-10)
    assert resampled_mean_auc(risk, times, censoring, ONCE)[0] == pytest.approx(mean_auc, abs=1e-10)

    at = np.array([300.0, 450.0])
    assert resampled_brier(survival, at, censoring, ONCE)[0] == pytest.approx(
        brier_score(source, outcomes, survival, at)[1], abs=1e-12
    )
    curves = np.linspace(0.9, 0.1, len(times))[None, :] ** np.exp(0.5 * risk)[:, None]
    assert resampled_integrated_brier(curves, times, censoring, ONCE)[0] == pytest.approx(
        integrated_brier_score(source, outcomes, curves, times), abs=1e-12
    )


def test_resamples_are_scored_as_if_each_had_been_built() -> None:
    days, died, risk, survival = cohort(5)
    censoring = Censoring(days, died)
    draws = np.random.default_rng(1).multinomial(150, np.full(150, 1 / 150), 6)
    at = np.array([300.0, 450.0])
    auc, brier = resampled_auc(risk, at, censoring, draws), resampled_brier(survival, at, censoring, draws)
    for row, drawn in enumerate(draws):
        who = np.repeat(np.arange(150), drawn)
        kept = died[who] & (days[who] <= censoring.horizon_days)
        source = Surv.from_arrays(died[who], days[who])
        outcomes = Surv.from_arrays(kept, np.minimum(days[who], censoring.horizon_days))
        assert auc[row] == pytest.approx(cumulative_dynamic_auc(source, outcomes, risk[who], at)[0], abs=1e-10)
        assert brier[row] == pytest.approx(brier_score(source, outcomes, survival[who], at)[1], abs=1e-12)


def test_tied_risks_count_half() -> None:
    days, died, *_ = cohort(6)
    assert resampled_auc(np.zeros(150), np.array([400.0]), Censoring(days, died), ONCE)[0, 0] == pytest.approx(0.5)


def test_the_horizon_is_where_a_tenth_would_still_be_followed() -> None:
    days = np.arange(1.0, 101.0)
    lost = Censoring(days, np.zeros(100, bool))
    assert lost.horizon_days == 90  # after day 90, 10 of 100 are left
    assert Censoring(days, np.ones(100, bool)).horizon_days == 100
    assert Censoring(days, np.ones(100, bool), (days[:50], np.ones(50, bool))).horizon_days == 50
    assert not is_within_follow_up(300, lost) and not is_within_follow_up(95, lost)


def test_the_calibration_slope_is_that_of_a_logistic_regression() -> None:
    days, died, _, survival = cohort(7)
    censoring = Censoring(days, died)
    p = survival[:, 1]
    weights = CensoringDistributionEstimator().fit(Surv.from_arrays(died, days))
    alive, dead = days > 450, died & (days <= 450)
    stands_for = np.where(alive, 1 / weights.predict_proba(np.array([450.0])), 0) + np.where(
        dead, 1 / np.maximum(weights.predict_proba(days), 1e-9), 0
    )
    logit = np.log(p / (1 - p))
    keep = stands_for > 0
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(logit[keep, None], alive[keep], sample_weight=stands_for[keep])
    assert resampled_slope(p, 450.0, censoring, ONCE)[0] == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_predictions_that_are_too_sure_have_a_slope_below_one() -> None:
    days, died, _, survival = cohort(8, 700)
    p = survival[:, 0]
    logit = np.log(p / (1 - p))
    censoring = Censoring(days, died)
    right, sure = (calibrate(1 / (1 + np.exp(-k * logit)), 300.0, censoring) for k in (1, 2))
    assert right.slope.low is not None and right.slope.high is not None and right.slope.value is not None
    assert right.slope.low < 1 < right.slope.high
    assert sure.slope.value == pytest.approx(right.slope.value / 2, rel=0.02)
    gloomy = calibrate(np.full(700, 0.3), 300.0, censoring)
    assert gloomy.in_the_large.low is not None and gloomy.in_the_large.low > 0
    assert gloomy.slope.value is None and "all the same" in gloomy.slope.reason and len(gloomy.groups) == 1


def test_predictions_that_separate_the_dead_from_the_living_have_no_slope() -> None:
    days, died = np.arange(10.0, 610.0, 10.0), np.ones(60, bool)
    told = calibrate(np.where(days > 300, 0.8, 0.3), 300.0, Censoring(days, died))
    assert told.slope.value is None and "separate" in told.slope.reason


def test_groups_show_the_kaplan_meier_survival_of_their_patients() -> None:
    days, died, _, survival = cohort(9, 200)
    groups = calibrate(survival[:, 0], 300.0, Censoring(days, died)).groups
    assert sum(group.patients for group in groups) == 200 and len(groups) == 5
    borders = np.quantile(survival[:, 0], [0.2, 0.4, 0.6, 0.8])
    lowest = survival[:, 0] < borders[0]
    at = kaplan_meier(days[lowest], died[lowest]).at(300)
    assert at is not None and groups[0].observed == pytest.approx(at[0])
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)


def test_nobody_followed_for_so_long() -> None:
    days = np.linspace(10, 200, 30)
    told = calibrate(np.linspace(0.2, 0.8, 30), 300.0, Censoring(days, np.arange(30) % 2 == 0))
    assert told.slope.value is None and "300" in told.slope.reason and told.groups[0].observed is None
    assert not math.isnan(told.groups[0].predicted)
