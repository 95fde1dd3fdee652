"""Summaries and their bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autobrats.evaluation.summary import Summary, bootstrap_interval, summarise


def test_the_figures_are_those_of_numpy() -> None:
    values = [0.9, 0.5, 0.7, 0.8]
    summary = summarise(values, list("abcd"))
    assert summary.n == 4
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.std == pytest.approx(np.std(values, ddof=1))
    assert (summary.q25, summary.median, summary.q75) == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert summary.low < summary.mean < summary.high


def test_values_that_are_not_defined_are_left_out() -> None:
    assert summarise([1.0, None, float("nan"), float("inf"), 0.0], list("abcde")) == summarise([1.0, 0.0], ["a", "e"])
    assert summarise([None], ["a"]) == Summary(n=0)
    assert summarise([], []) == Summary(n=0)


def test_one_patient_gives_no_interval() -> None:
    summary = summarise([0.5, 0.7], ["a", "a"])
    assert summary.mean == pytest.approx(0.6) and summary.low is None and summary.high is None


def test_the_interval_is_that_of_scipy_for_one_case_a_patient() -> None:
    values = np.random.default_rng(1).beta(8, 2, 60)
    reference = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=0).confidence_interval
    low, high = bootstrap_interval(values, [str(case) for case in range(60)])
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.004)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """With cases that resemble each other within a patient, drawing by patient is what makes this hold."""
    random = np.random.default_rng(2)
    patients = [str(patient) for patient in range(40) for _ in range(4)]

    def coverage(owners: list[str]) -> float:
        hits = 0
        for _ in range(200):
            values = np.repeat(random.normal(0, 1, 40), 4) + random.normal(0, 0.3, 160)
            low, high = bootstrap_interval(values, owners)
            hits += low <= 0 <= high
        return hits / 200

    assert 0.88 <= coverage(patients) <= 0.99
    assert coverage([str(case) for case in range(160)]) < 0.8


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(20)
    patients = [str(case) for case in range(20)]
    assert bootstrap_interval(values, patients) == bootstrap_interval(values, patients)
    assert bootstrap_interval(values, patients) != bootstrap_interval(values, patients, seed=1)


def test_one_patient_for_each_value() -> None:
    with pytest.raises(ValueError):
        summarise([1.0, 2.0], ["a"])
