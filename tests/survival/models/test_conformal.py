"""Intervals hold what they promise, censored or not, and say so when they cannot be known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from autobrats.survival.models.conformal import DaysInterval


def test_ends_are_the_order_statistics_that_cover_n_plus_one() -> None:
    days = np.exp(np.arange(1.0, 40))  # 39 errors of 1 to 39 at a prediction of log 1
    interval = DaysInterval.fit(np.zeros(39), days, np.ones(39, bool))
    assert (interval.low, interval.high) == pytest.approx((2, 38))  # 5 % and 95 % of 40 places
    low, high = interval.ends(np.array([1.0, 2.0]))
    np.testing.assert_allclose(np.log(low), [3, 4])
    np.testing.assert_allclose(np.log(high), [39, 40])


def test_too_few_patients_know_no_ends() -> None:
    interval = DaysInterval.fit(np.zeros(18), np.exp(np.arange(1.0, 19)), np.ones(18, bool))
    assert (interval.low, interval.high) == (None, None)
    assert [float(end[0]) for end in interval.ends(np.array([5.0]))] == [0.0, np.inf]
    assert DaysInterval.fit(np.zeros(18), np.exp(np.arange(1.0, 19)), np.ones(18, bool), coverage=0.5).high is not None


def test_no_upper_end_where_many_were_alive_when_last_seen() -> None:
    days, died = np.exp(np.arange(1.0, 101)), np.arange(100) < 80
    interval = DaysInterval.fit(np.zeros(100), days, died)
    assert interval.low == pytest.approx(5)
    assert interval.high is None


@pytest.mark.parametrize("censored", [False, True])
@pytest.mark.parametrize("bias", [0.0, 0.4], ids=["good model", "biased model"])
def test_coverage(censored: bool, bias: float) -> None:
    rng = np.random.default_rng(11)
    repeats, held, coverage = 300, 40, 0.9
    inside = 0
    for _ in range(repeats):
        x = rng.normal(size=200 + held)
        log_days = 6 - 0.6 * x + 0.5 * rng.gumbel(size=200 + held)
        predicted = 6 - 0.6 * x + bias
        end = predicted + 0.7 + rng.normal(size=200 + held) if censored else np.full(200 + held, np.inf)
        seen, died = np.minimum(log_days, end), log_days <= end
        interval = DaysInterval.fit(predicted[:200], np.exp(seen[:200]), died[:200], coverage)
        low, high = interval.ends(predicted[200:])
        inside += int(((low <= np.exp(log_days[200:])) & (np.exp(log_days[200:]) <= high)).sum())
    # Patients of one repeat share an interval: its coverage is Beta distributed, as if there were so many fewer of them.
    effective = (
        repeats / (coverage * (1 - coverage) / 201 + coverage * (1 - coverage) / held) * coverage * (1 - coverage)
    )
    lowest, highest = binom.ppf([0.001, 0.999], int(effective), coverage) / int(effective)
    widening = (
        0.02 if censored else 0.005
    )  # one patient of 201 is left out on each side, more where the end is censored
    assert lowest <= inside / (repeats * held) <= highest + widening
