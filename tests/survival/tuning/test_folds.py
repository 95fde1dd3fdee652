"""Folds hold every patient once, and each fold has its share of deaths and of short and long survivors."""

import numpy as np
import pytest

from autobrats.survival.tuning.folds import survival_folds


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_equal_in_size_deaths_and_times(seed):
    rng = np.random.default_rng(seed)
    days, died = rng.exponential(400, 203), rng.random(203) < 0.5
    folds = survival_folds(days, died, 5, seed)
    assert sorted(np.bincount(folds)) == [40, 40, 41, 41, 41]
    deaths = np.bincount(folds, weights=died)
    assert deaths.max() - deaths.min() <= 2
    medians = [np.median(days[(folds == fold) & died]) for fold in range(5)]
    assert max(medians) < 2.5 * min(medians)


def test_the_same_seed_gives_the_same_folds_and_another_one_others():
    days, died = np.arange(1.0, 61), np.arange(60) % 2 == 0
    first = survival_folds(days, died, 4, 3)
    assert (first == survival_folds(days, died, 4, 3)).all()
    assert (first != survival_folds(days, died, 4, 4)).any()


def test_two_patients_need_two_folds():
    with pytest.raises(ValueError, match="2 patients cannot be divided into 3 folds"):
        survival_folds(np.array([1.0, 2.0]), np.array([True, True]), 3, 0)
