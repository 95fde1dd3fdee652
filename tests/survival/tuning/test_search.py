"""The search: baselines first, the best is found where there is something to find, and the simplest taken where not."""

import numpy as np
import pytest
from survival.made_up_cohort import made_up_cohort

from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.choice import Trial, choose
from autobrats.survival.tuning.search import SearchOptions, search_model

pytestmark = pytest.mark.usefixtures("quick_space")


def test_the_baselines_are_the_first_trials():
    cohort = made_up_cohort()
    found = search_model(cohort, SearchOptions("c_index", trials=2, repeats=1))
    assert [trial.name for trial in found.trials[:1]] == ["age"]
    assert found.trials[0].specs[0].columns == ("clinical_age",)
    assert found.trials[0].mean > 0.6


def test_noise_beside_age_is_not_chosen():
    cohort = made_up_cohort(noise_features=20)
    found = search_model(cohort, SearchOptions("c_index", trials=8, repeats=2))
    assert found.chosen.name == "age"


def test_a_strong_feature_beside_age_is_found():
    cohort = made_up_cohort(200, volume_effect=1.5)
    found = search_model(cohort, SearchOptions("c_index", trials=12, repeats=1))
    age = found.trials[0]
    assert found.chosen.name != "age"
    assert found.chosen.mean > age.mean + 0.08


@pytest.mark.parametrize("objective", ["spearman", "accuracy", "mse"])
def test_other_objectives_are_searched(objective):
    cohort = made_up_cohort(80, censored=0.0)
    found = search_model(cohort, SearchOptions(objective, trials=4, repeats=1))
    assert found.trials[0].specs[0].model == "ridge"
    assert np.isfinite([trial.mean for trial in found.trials]).all()
    assert found.chosen.mean >= found.trials[0].mean - 1e-9 or objective == "mse"


def test_the_same_seed_gives_the_same_trials():
    cohort = made_up_cohort(60)
    first, again = (search_model(cohort, SearchOptions("c_index", trials=4, repeats=1, seed=5)) for _ in range(2))
    assert [trial.specs for trial in first.trials] == [trial.specs for trial in again.trials]
    assert [trial.mean for trial in first.trials] == [trial.mean for trial in again.trials]


def test_a_cohort_without_age_has_a_baseline_that_knows_nothing():
    cohort = made_up_cohort()
    names = [name for name in cohort.features.names if name != "clinical_age"]
    without = type(cohort)(cohort.features.select(names), cohort.days, cohort.died)
    assert list(baselines(without, "c_index")) == ["no features"]
    found = search_model(without, SearchOptions("c_index", trials=0))
    assert found.chosen.mean == 0.5


def spec(columns):
    return ModelSpec(columns=columns)


def trial(name, columns, scores):
    return Trial(name, (spec(columns),), np.asarray(scores, float), (None, None))


def test_the_simplest_within_a_standard_error_is_taken():
    rng = np.random.default_rng(0)
    base = 0.7 + rng.normal(0, 0.03, 10)
    simple = trial("simple", ("clinical_age",), base)
    level = trial("level", ("clinical_age", "a"), base + rng.normal(0.004, 0.02, 10))
    better = trial("better", ("clinical_age", "a", "b"), base + rng.normal(0.05, 0.01, 10))
    assert choose([simple, level]).name == "simple"
    assert choose([simple, level, better]).name == "better"


def test_the_standard_error_is_that_of_nadeau_and_bengio():
    """Differences with mean d and deviation s in 10 folds of 5-fold cross-validation: s sqrt(1/10 + 1/4)."""
    differences = np.tile([0.0, 0.02], 5)
    error = differences.std(ddof=1) * np.sqrt(1 / 10 + 1 / 4)
    for mean, name in ((error * 0.99, "simple"), (error * 1.01, "best")):
        best = trial("best", ("clinical_age", "a"), 0.7 + differences - differences.mean() + mean)
        assert choose([trial("simple", ("clinical_age",), np.full(10, 0.7)), best]).name == name
