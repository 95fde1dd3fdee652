"""Median-frequency weights: known answers, and classes that never occur."""

from __future__ import annotations

import math

import pytest

from autobrats.losses.median_frequency import median_frequency_weights


def test_the_median_class_weighs_1_and_rare_ones_more() -> None:
    weights = median_frequency_weights({"background": 0.90, "edema": 0.06, "core": 0.03, "enhancing": 0.01})
    assert weights == pytest.approx({"background": 0.05, "edema": 0.75, "core": 1.5, "enhancing": 4.5})  # median 0.045
    assert list(weights) == ["background", "edema", "core", "enhancing"]
    odd = median_frequency_weights({"WT": 0.10, "TC": 0.04, "ET": 0.02})
    assert odd == pytest.approx({"WT": 0.4, "TC": 1.0, "ET": 2.0})


def test_the_unit_does_not_matter() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    voxels = {name: 240**2 * 155 * share for name, share in shares.items()}
    assert median_frequency_weights(voxels) == pytest.approx(median_frequency_weights(shares))


def test_a_class_that_never_occurs_weighs_nothing_and_changes_nothing() -> None:
    assert median_frequency_weights({"WT": 0.10, "RC": 0.0, "TC": 0.04, "ET": 0.02}) == pytest.approx(
        {"WT": 0.4, "RC": 0.0, "TC": 1.0, "ET": 2.0}
    )
    assert median_frequency_weights({"only": 0.25, "never": 0}) == {"only": 1.0, "never": 0.0}


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_an_impossible_frequency_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"ET .*{value}"):
        median_frequency_weights({"WT": 0.1, "ET": value})


@pytest.mark.parametrize("frequency", [{}, {"WT": 0.0, "ET": 0.0}])
def test_no_class_at_all_is_refused(frequency: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="No class occurs"):
        median_frequency_weights(frequency)
