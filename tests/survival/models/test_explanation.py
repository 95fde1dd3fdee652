"""Importances and contributions, where the answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.explanation import explain_patients, permutation_importances
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.spec import ModelSpec


class Formula:
    """A model whose risk is a given function of the features."""

    def __init__(self, features: int, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.features = tuple(f"size_{place}" for place in range(features))
        self.function = function

    def risk(self, table: FeatureTable) -> np.ndarray:
        return self.function(table.select(self.features).values)


def patients(features: int, number: int = 3) -> FeatureTable:
    rng = np.random.default_rng(0)
    names = tuple(f"size_{place}" for place in range(features))
    return FeatureTable(tuple(f"p{place}" for place in range(number)), names, rng.normal(size=(number, features)))


@pytest.mark.parametrize("features", [1, 5, 20])
def test_a_sum_is_shared_out_by_its_terms(features: int) -> None:
    slopes = np.arange(1.0, features + 1)
    table = patients(features)
    reference = dict.fromkeys(table.names, 0.5)
    for row, explained in enumerate(explain_patients(Formula(features, lambda x: x @ slopes), table, reference)):
        effects = {contribution.feature: contribution.effect for contribution in explained.contributions}
        expected = slopes * (table.values[row] - 0.5)
        np.testing.assert_allclose([effects[name] for name in table.names], expected, atol=1e-9)
        assert explained.reference_risk == pytest.approx(0.5 * slopes.sum())
        assert np.all(np.diff([abs(contribution.effect) for contribution in explained.contributions]) <= 0)


@pytest.mark.parametrize("features", [2, 8, 12])
def test_a_product_is_shared_equally_and_all_adds_up(features: int) -> None:
    model = Formula(features, lambda x: 10 * x[:, 0] * x[:, 1] + np.maximum(x, 0).max(axis=1) * (features > 2))
    table = patients(features)
    for row, explained in enumerate(explain_patients(model, table, dict.fromkeys(table.names, 0.0))):
        effects = {contribution.feature: contribution.effect for contribution in explained.contributions}
        assert sum(effects.values()) == pytest.approx(explained.risk - explained.reference_risk, abs=1e-9)
        if features == 2:
            share = 5 * table.values[row, 0] * table.values[row, 1]
            assert (effects["size_0"], effects["size_1"]) == pytest.approx((share, share))
    again = explain_patients(model, table, dict.fromkeys(table.names, 0.0))
    assert again == explain_patients(model, table, dict.fromkeys(table.names, 0.0))


def test_sampled_orders_come_near_the_exact_values() -> None:
    def function(x: np.ndarray) -> np.ndarray:
        return 3 * x[:, 0] * x[:, 1] + x[:, 2] ** 2

    exact = explain_patients(Formula(8, function), patients(8, 1), {f"size_{place}": 0.3 for place in range(8)})[0]
    padded = patients(8, 1).joined(FeatureTable(("p0",), ("size_8",), np.array([[1.0]])))
    sampled = explain_patients(Formula(9, function), padded, {f"size_{place}": 0.3 for place in range(9)})[0]
    of_sampled = {contribution.feature: contribution.effect for contribution in sampled.contributions}
    for contribution in exact.contributions:
        # Two features interact: orders and their reverses show each first equally often.
        assert of_sampled[contribution.feature] == pytest.approx(contribution.effect, abs=1e-9)


def test_shuffling_shows_what_a_model_needs(make_cohort: Callable) -> None:
    spec = ModelSpec(families=("clinical", "texture"))
    held_out = [(fit_model(spec, make_cohort(seed=seed)), make_cohort(seed=seed + 10)) for seed in (0, 1)]
    importances = permutation_importances(held_out, repeats=10)
    drop = {importance.feature: importance.drop for importance in importances}
    assert [importance.feature for importance in importances][:2] == ["clinical_age", "WT_t1c_glcm_F0"]
    assert drop["clinical_age"] > 0.1 > 0.02 > abs(drop["clinical_male"])
    assert importances == permutation_importances(held_out, repeats=10)
    assert importances != permutation_importances(held_out, repeats=10, seed=1)


def test_a_feature_that_one_fold_does_not_use_loses_nothing_there(make_cohort: Callable) -> None:
    cohort, new = make_cohort(), make_cohort(seed=1)
    age, texture = (fit_model(ModelSpec(columns=(name,)), cohort) for name in ("clinical_age", "WT_t1c_glcm_F0"))
    alone = permutation_importances([(age, new)])[0].drop
    both = {importance.feature: importance.drop for importance in permutation_importances([(age, new), (texture, new)])}
    assert both["clinical_age"] == pytest.approx(alone / 2)
