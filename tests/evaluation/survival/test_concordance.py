"""Harrell's C and its weighted form are those of scikit-survival, and fast enough to be asked a hundred thousand times."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from sksurv.exceptions import NoComparablePairException
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw
from sksurv.util import Surv

from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.concordance import ComparablePairs, harrell_c, ipcw_c_many


def patients(number: int, seed: int, *, tied: bool, alive: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days, died, risk; with ties in days and risks if wanted."""
    rng = np.random.default_rng(seed)
    days = rng.integers(1, 15, number).astype(float) if tied else rng.uniform(1, 2000, number)
    risk = rng.integers(0, 6, number).astype(float) if tied else rng.normal(size=number)
    return days, rng.random(number) > alive, risk


def reference(days: np.ndarray, died: np.ndarray, risk: np.ndarray) -> float:
    """scikit-survival's, NaN where it refuses."""
    try:
        with np.errstate(invalid="ignore"):
            return float(concordance_index_censored(died, days, risk)[0])
    except (NoComparablePairException, ValueError):
        return float("nan")


def test_three_patients_by_hand() -> None:
    days, died = np.array([100.0, 200.0, 300.0]), np.array([True, False, True])
    # Comparable: the first with the second and with the third; the second was censored before the third died.
    assert ComparablePairs(days, died).count == 2
    assert harrell_c(days, died, np.array([3.0, 2.0, 1.0])) == 1
    assert harrell_c(days, died, np.array([2.0, 3.0, 1.0])) == 0.5
    assert harrell_c(days, died, np.array([1.0, 1.0, 0.0])) == 0.75


def test_a_death_and_a_censoring_on_one_day_are_comparable_and_two_deaths_are_not() -> None:
    days = np.array([50.0, 50.0])
    assert harrell_c(days, np.array([True, False]), np.array([1.0, 0.0])) == 1
    assert math.isnan(harrell_c(days, np.array([True, True]), np.array([1.0, 0.0])))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("alive", [0.0, 0.4, 0.9])
def test_harrell_is_that_of_scikit_survival(tied: bool, alive: float) -> None:
    for seed in range(40):
        number = 2 + seed * 5
        days, died, risk = patients(number, seed, tied=tied, alive=alive)
        assert harrell_c(days, died, risk) == pytest.approx(reference(days, died, risk), abs=1e-14, nan_ok=True)


@pytest.mark.parametrize("tied", [True, False])
def test_resamples_are_scored_as_if_each_had_been_built(tied: bool) -> None:
    days, died, risk = patients(35, 3, tied=tied)
    draws = np.random.default_rng(0).multinomial(35, np.full(35, 1 / 35), 30)
    many = ComparablePairs(days, died).resampled(risk, draws)
    for drawn, value in zip(draws, many, strict=True):
        who = np.repeat(np.arange(35), drawn)
        assert value == pytest.approx(reference(days[who], died[who], risk[who]), abs=1e-12)


def test_a_resample_without_a_pair_has_no_value() -> None:
    pairs = ComparablePairs(np.array([1.0, 2.0]), np.array([True, True]))
    values = pairs.resampled(np.array([1.0, 0.0]), np.array([[2, 0], [1, 1]]))
    assert math.isnan(values[0]) and values[1] == 1


@pytest.mark.parametrize("tied", [True, False])
def test_the_weighted_form_is_that_of_scikit_survival(tied: bool) -> None:
    for seed in range(10):
        days, died, risk = patients(80, seed, tied=tied)
        train_days, train_died, _ = patients(120, 100 + seed, tied=tied)
        for training in (None, (train_days, train_died)):
            censoring = Censoring(days, died, training)
            source = (days, died) if training is None else training
            expected = concordance_index_ipcw(
                Surv.from_arrays(source[1], source[0]),
                Surv.from_arrays(died, days),
                risk,
                tau=np.nextafter(censoring.horizon_days, np.inf),
            )[0]
            assert ipcw_c_many(risk, censoring, np.ones((1, 80)))[0] == pytest.approx(expected, abs=1e-12)


def test_the_weighted_form_estimates_censoring_anew_in_each_resample() -> None:
    days, died, risk = patients(60, 5, tied=False)
    censoring = Censoring(days, died)
    tau = np.nextafter(censoring.horizon_days, np.inf)
    draws = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), 10)
    values = ipcw_c_many(risk, censoring, draws)
    for drawn, value in zip(draws, values, strict=True):
        who = np.repeat(np.arange(60), drawn)
        outcomes = Surv.from_arrays(died[who], days[who])
        assert value == pytest.approx(concordance_index_ipcw(outcomes, outcomes, risk[who], tau=tau)[0], abs=1e-12)


def test_without_censoring_both_forms_agree() -> None:
    days, _, risk = patients(50, 7, tied=False)
    died = np.ones(50, bool)
    value = ipcw_c_many(risk, Censoring(days, died), np.ones((1, 50)))[0]
    assert value == pytest.approx(harrell_c(days, died, risk), abs=1e-12)


def test_many_patients_are_compared_piece_by_piece() -> None:
    days, died, risk = patients(700, 2, tied=True)
    assert harrell_c(days, died, risk) == pytest.approx(reference(days, died, risk), abs=1e-14)


def test_it_is_at_least_five_times_as_fast_as_scikit_survival() -> None:
    days, died, risk = patients(400, 1, tied=False)

    def seconds(function, repeats: int) -> float:
        best = math.inf
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(repeats):
                function()
            best = min(best, (time.perf_counter() - start) / repeats)
        return best

    ours = seconds(lambda: harrell_c(days, died, risk), 10)
    assert ours < seconds(lambda: concordance_index_censored(died, days, risk), 1) / 5


@pytest.mark.parametrize("risk", [[1.0, float("nan")], [1.0, float("inf")], [1.0]])
def test_risks_that_cannot_be_ordered_are_refused(risk: list[float]) -> None:
    with pytest.raises(ValueError, match="risk"):
        harrell_c(np.array([1.0, 2.0]), np.array([True, True]), np.array(risk))
