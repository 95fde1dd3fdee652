"""Rankings put what matters first, look at nothing else than they should, and are made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models import selection
from autobrats.survival.models.selection import RankingCache, rank_features
from autobrats.survival.models.spec import SELECTIONS, ModelSpec, Selection

RANKED = [selection for selection in SELECTIONS if selection != "none"]


def spec(selection: Selection, **more: object) -> ModelSpec:
    return ModelSpec(**{"families": ("clinical", "texture"), "selection": selection} | more)


@pytest.mark.parametrize("censored", [True, False])
@pytest.mark.parametrize("selection", RANKED)
def test_the_two_features_of_the_law_come_first(selection: Selection, censored: bool, make_cohort: Callable) -> None:
    cohort = make_cohort(censored=censored, textures=8)
    ranking = rank_features(spec(selection), cohort)
    assert set(ranking[:2]) == {"clinical_age", "WT_t1c_glcm_F0"}
    assert sorted(ranking) == sorted(cohort.features.names)
    assert ranking == rank_features(spec(selection), cohort)


@pytest.mark.parametrize("selection", RANKED)
def test_kept_and_useless_columns_are_not_ranked(selection: Selection, make_cohort: Callable) -> None:
    cohort = make_cohort(textures=3)
    values = cohort.features.values.copy()
    values[:, cohort.features.names.index("clinical_male")] = 1
    cohort = Cohort(FeatureTable(cohort.features.patients, cohort.features.names, values), cohort.days, cohort.died)
    ranking = rank_features(spec(selection, keep=("clinical_age",)), cohort)
    assert ranking[0] == "WT_t1c_glcm_F0"
    assert set(ranking) == set(cohort.features.names) - {"clinical_age", "clinical_male"}


def with_copies(cohort: Cohort, copies: int = 3) -> Cohort:
    """The first texture several times, with a little noise."""
    rng = np.random.default_rng(0)
    column = cohort.features.column("WT_t1c_glcm_F0")[:, None]
    names = tuple(f"WT_t1c_glrlm_Copy{place}" for place in range(copies))
    added = FeatureTable(cohort.features.patients, names, column + rng.normal(size=(len(cohort), copies)))
    return Cohort(cohort.features.joined(added), cohort.days, cohort.died)


def test_mrmr_does_not_take_the_same_thing_twice(make_cohort: Callable) -> None:
    cohort = with_copies(make_cohort(patients=300, textures=1))
    alike = {"WT_t1c_glcm_F0", *(f"WT_t1c_glrlm_Copy{place}" for place in range(3))}
    by_itself = rank_features(spec("univariate_cox"), cohort)
    assert len(alike & set(by_itself[:3])) >= 2
    assert len(alike & set(rank_features(spec("mrmr"), cohort)[:2])) == 1
    # One that is kept counts as taken.
    beside = {"families": (), "columns": (*sorted(alike), "clinical_grade"), "keep": ("WT_t1c_glcm_F0",)}
    assert rank_features(spec("univariate_cox", **beside), cohort)[0] in alike
    assert rank_features(spec("mrmr", **beside), cohort)[0] == "clinical_grade"


def test_what_is_missing_can_be_chosen_by_its_absence(make_cohort: Callable) -> None:
    cohort = make_cohort(textures=1)
    values = cohort.features.values.copy()
    values[cohort.days < 250, cohort.features.names.index("clinical_grade")] = np.nan
    cohort = Cohort(FeatureTable(cohort.features.patients, cohort.features.names, values), cohort.days, cohort.died)
    assert rank_features(spec("univariate_cox", imputation="indicator"), cohort)[0] == "clinical_grade missing"


def test_a_ranking_is_made_once_for_the_same_patients(make_cohort: Callable) -> None:
    cohort, cache = make_cohort(textures=60), RankingCache()
    first = cache.ranking(spec("forest"), cohort, 0)
    same = make_cohort(textures=60)
    for number in (1, 5):
        for scaling in ("standard", "rank"):  # a forest sees ranks only
            again = cache.ranking(spec("forest", n_features=number, scaling=scaling, model="ridge"), same, 0)
            assert again == first
    kept = cache.ranking(spec("forest", keep=first[:1]), same, 0)  # a forest ranks as if nothing was kept
    assert kept == first[1:]
    assert len(cache.rankings) == 1

    other = same.rows(np.arange(len(same))[::-1])
    later = Cohort(same.features, same.days + 1, same.died)
    for changed, seed in ((other, 0), (later, 0), (same, 1)):
        cache.ranking(spec("forest"), changed, seed)
    cache.ranking(spec("forest", model="ridge", target="days"), same, 0)
    cache.ranking(spec("elastic_net", keep=("clinical_age",)), same, 0)
    cache.ranking(spec("forest", families=("texture",)), same, 0)
    assert len(cache.rankings) == 7


def test_the_best_of_many_features_are_the_same_with_and_without_screening(
    make_cohort: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = make_cohort(textures=60)
    asked = spec("elastic_net", keep=("clinical_age",))
    everything = rank_features(asked, cohort)
    monkeypatch.setattr(selection, "SCREENED", 20)
    screened = rank_features(asked, cohort)
    assert sorted(screened) == sorted(everything)
    assert screened[0] == everything[0]
    assert "clinical_age" not in screened
