"""Scaling and imputation are learnt in training, and then only applied."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from autobrats.errors import UserError
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.preparation import Preparation, usable_columns


def table(**columns: list[float]) -> FeatureTable:
    values = np.array(list(columns.values()), dtype=float).T
    return FeatureTable(tuple(map(str, range(len(values)))), tuple(columns), values)


NAN = float("nan")


def test_columns_without_two_values_are_not_usable() -> None:
    given = table(
        good=[1, 2, NAN], constant=[3, 3, 3], empty=[NAN] * 3, once=[NAN, 1, NAN], rest=[1e9, 1e9 + 1e-5, 1e9]
    )
    given = FeatureTable(given.patients, (*given.names, "inf"), np.column_stack([given.values, [np.inf, 1, -np.inf]]))
    assert usable_columns(given) == ("good",)


def test_standard_scaling_and_the_training_median() -> None:
    training = table(a=[1, 2, 3, 10, NAN])
    preparation = Preparation.fit(training, "median", "standard")
    known = np.array([1, 2, 3, 10])
    new = preparation.transform(table(a=[7, NAN, np.inf]))[:, 0]
    expected = (np.array([7, 2.5, 2.5]) - known.mean()) / known.std()
    np.testing.assert_allclose(new, expected, rtol=1e-12)


def test_robust_scaling_by_quartiles() -> None:
    preparation = Preparation.fit(table(a=[0, 1, 2, 3, 1000]), "median", "robust")
    np.testing.assert_allclose(preparation.transform(table(a=[2, 3, 5]))[:, 0], [0, 0.5, 1.5])


def test_ranks_become_normal_scores_after_blom() -> None:
    values = [5.0, 1.0, 9.0, 2.0, 2.0, 7.0, 30.0]
    preparation = Preparation.fit(table(a=values), "median", "rank")
    expected = norm.ppf((rankdata(values) - 0.375) / (len(values) + 0.25))
    np.testing.assert_allclose(preparation.transform(table(a=values))[:, 0], expected, atol=1e-6)
    beyond = preparation.transform(table(a=[-100, 1e6]))[:, 0]
    np.testing.assert_allclose(beyond, [expected.min(), expected.max()], atol=1e-6)


def test_nearest_patients_fill_in_what_is_missing() -> None:
    near, far = [0.0, 0.1, -0.1, 0.05, -0.05], [10.0, 10.1, 9.9, 10.05, 9.95]
    training = table(a=near + far, b=[1.0] * 5 + [2.0] * 5)
    preparation = Preparation.fit(training, "knn", "standard")
    filled = preparation.transform(table(a=[0.02, 9.98], b=[NAN, NAN]))[:, 1]
    np.testing.assert_allclose(filled, preparation.transform(table(a=[0, 10], b=[1, 2]))[:, 1])


def test_a_column_says_where_a_value_was_missing() -> None:
    training = table(a=[1, NAN, 3], b=[1, 2, 3])
    preparation = Preparation.fit(training, "indicator", "standard")
    assert preparation.inputs == ("a", "b", "a missing")
    np.testing.assert_array_equal(preparation.transform(table(b=[NAN, 1], a=[NAN, 1]))[:, 2], [1, 0])
    only = Preparation.fit(training, "indicator", "standard", inputs=("a missing",))
    np.testing.assert_array_equal(only.transform(training), [[0], [1], [0]])


def test_a_missing_column_is_named() -> None:
    preparation = Preparation.fit(table(a=[1, 2], b=[1, 2]), "median", "standard")
    with pytest.raises(UserError, match="no column b"):
        preparation.transform(table(a=[1, 2]))
