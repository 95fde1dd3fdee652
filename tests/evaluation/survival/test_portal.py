"""The portal's metrics against numpy and scipy, and in resamples as if each had been built."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from autobrats.evaluation.survival.classes import confusion, has_certain_class, resampled_balanced_accuracy
from autobrats.evaluation.survival.portal import (
    PORTAL_METRICS,
    portal_scores,
    resampled_portal,
    survival_class,
    survival_classes,
)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(1, "short"), (299.9, "short"), (300, "mid"), (375, "mid"), (450, "mid"), (450.1, "long"), (2000, "long")],
)
def test_the_borders_belong_to_the_middle_class(days: float, expected: str) -> None:
    assert survival_class(days) == expected


def reference(days: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """By numpy, scipy and scikit-learn."""
    errors = (predicted - days) ** 2
    return {
        "accuracy": accuracy_score([survival_class(d) for d in days], [survival_class(d) for d in predicted]),
        "mse": np.mean(errors),
        "median_se": np.median(errors),
        "std_se": np.std(errors),
        "spearman_r": spearmanr(days, predicted).statistic,
    }


def test_four_patients_by_hand() -> None:
    scores = portal_scores(np.array([100.0, 310.0, 400.0, 900.0]), np.array([110.0, 290.0, 430.0, 860.0]))
    # Squared errors 100, 400, 900, 1600; the second is called short. Deviations from 750: 650, 350, 150, 850.
    assert scores["accuracy"] == 0.75 and scores["mse"] == 750 and scores["median_se"] == 650
    assert scores["std_se"] == pytest.approx(math.sqrt((650**2 + 350**2 + 150**2 + 850**2) / 4))
    assert scores["spearman_r"] == 1


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("number", [9, 30])
def test_every_metric_is_that_of_the_libraries_and_in_each_resample_too(tied: bool, number: int) -> None:
    rng = np.random.default_rng(number)
    days = rng.integers(1, 9, number) * 100.0 if tied else rng.uniform(5, 1800, number)
    predicted = rng.integers(1, 9, number) * 100.0 if tied else rng.uniform(5, 1800, number)
    assert portal_scores(days, predicted) == pytest.approx(reference(days, predicted), rel=1e-12)
    draws = rng.multinomial(number, np.full(number, 1 / number), 20)
    for metric in PORTAL_METRICS:
        for drawn, value in zip(draws, resampled_portal(metric, days, predicted, draws), strict=True):
            who = np.repeat(np.arange(number), drawn)
            assert value == pytest.approx(reference(days[who], predicted[who])[metric], rel=1e-10, abs=1e-12), metric


def test_a_resample_may_leave_out_all_patients_that_count() -> None:
    draws = np.array([[0, 0], [1, 1], [2, 1]])
    median = resampled_portal("median_se", np.array([1.0, 3.0]), np.array([2.0, 6.0]), draws)
    assert math.isnan(median[0]) and median[1] == 5 and median[2] == 1


def test_a_constant_prediction_has_no_rank_correlation() -> None:
    scores = portal_scores(np.array([100.0, 200.0, 300.1]), np.full(3, 361.7))
    assert math.isnan(scores["spearman_r"]) and scores["mse"] > 0


def test_shuffling_the_patients_together_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    days, predicted, order = rng.uniform(5, 1800, 40), rng.uniform(5, 1800, 40), rng.permutation(40)
    assert portal_scores(days[order], predicted[order]) == pytest.approx(portal_scores(days, predicted), rel=1e-12)


def test_classes_are_counted_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    reference_class, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    assert (confusion(reference_class, predicted) == confusion_matrix(reference_class, predicted)).all()
    draws = rng.multinomial(50, np.full(50, 1 / 50), 20)
    draws[0] = np.where(reference_class == 1, 0, 1)  # a resample in which a class is missing
    values = resampled_balanced_accuracy(reference_class, predicted, draws)
    for drawn, value in zip(draws, values, strict=True):
        who = np.repeat(np.arange(50), drawn)
        recalls = [np.mean(predicted[who][reference_class[who] == k] == k) for k in np.unique(reference_class[who])]
        assert value == pytest.approx(np.mean(recalls))
    everything = resampled_balanced_accuracy(reference_class, predicted, np.ones((1, 50)))[0]
    assert everything == pytest.approx(balanced_accuracy_score(reference_class, predicted))


def test_only_those_whose_class_is_certain_have_one() -> None:
    days, died = np.array([100.0, 100.0, 450.0, 451.0, 451.0]), np.array([True, False, False, False, True])
    assert has_certain_class(days, died).tolist() == [True, False, False, True, True]
    assert survival_classes(np.array([299.0, 300.0, 450.0, 451.0])).tolist() == [0, 1, 1, 2]
