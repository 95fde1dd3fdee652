"""From the columns of a table to the inputs of a model: scaling and imputation, learnt from the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.spec import Imputation, Scaling

MISSING_SUFFIX = " missing"
"""Of the name of an input that says where a column had no value."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class Preparation:
    """Scales, fills in and picks the inputs.

    Attributes:
        columns: of the table, that are read.
        inputs: names of what comes out: columns, and columns with :data:`MISSING_SUFFIX`.
        scaler: scikit-learn's, or :class:`NormalScores`; None where there are no columns.
        imputer: scikit-learn's; None where there are no columns.
    """

    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    scaler: Any
    imputer: Any

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        imputation: Imputation,
        scaling: Scaling,
        inputs: tuple[str, ...] | None = None,
    ) -> Preparation:
        """Learn from a table whose columns are all usable (:func:`usable_columns`).

        Args:
            table: the training rows.
            inputs: to keep; None for :func:`input_names`.
        """
        values = _finite(table.values)
        if inputs is None:
            inputs = input_names(table, imputation)
        if not table.names:
            return cls((), (), None, None)
        preparation = cls(
            table.names,
            inputs,
            _scaler(scaling).fit(values),
            _imputer(imputation),
        )
        preparation.imputer.fit(preparation.scaler.transform(values))
        return preparation

    def transform(self, table: FeatureTable) -> np.ndarray:
        """The inputs, float64, shape (patient, input), without NaN.

        Raises:
            UserError: if a column is not in the table.
        """
        values = _finite(table.select(self.columns).values)
        if not self.columns:
            return np.zeros((len(values), 0))
        filled = dict(zip(self.columns, self.imputer.transform(self.scaler.transform(values)).T))
        missing = dict(zip(self.columns, np.isnan(values).T.astype(float)))
        return np.column_stack(
            [filled[name] if name in filled else missing[name.removesuffix(MISSING_SUFFIX)] for name in self.inputs]
        )


@dataclass(frozen=True)
class NormalScores:
    """Columns to the normal quantiles of their ranks, (rank - 3/8) / (n + 1/4) after Blom (1958); ties share their mean rank.

    Between the training values scores are interpolated, beyond them they stay at the extremes.

    Attributes:
        values: of each column, distinct and ascending.
        scores: of these values.
    """

    values: list[np.ndarray]
    scores: list[np.ndarray]

    @classmethod
    def fit(cls, values: np.ndarray) -> NormalScores:
        """Learn from columns with NaN, each with at least one value."""
        from scipy.special import ndtri

        distinct, scores = [], []
        for column in values.T:
            known, counts = np.unique(column[~np.isnan(column)], return_counts=True)
            ranks = np.cumsum(counts) - (counts - 1) / 2
            distinct.append(known)
            scores.append(ndtri((ranks - 0.375) / (counts.sum() + 0.25)))
        return cls(distinct, scores)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The scores, of the same shape; NaN stays NaN."""
        columns = zip(values.T, self.values, self.scores)
        return np.column_stack([np.interp(column, known, scores) for column, known, scores in columns])


def input_names(table: FeatureTable, imputation: Imputation) -> tuple[str, ...]:
    """All columns of a table, and for ``indicator`` imputation one input more for each with missing values."""
    if imputation != "indicator":
        return table.names
    lacking = (~np.isfinite(table.values)).any(axis=0)
    return table.names + tuple(name + MISSING_SUFFIX for name, lacks in zip(table.names, lacking) if lacks)


def usable_columns(table: FeatureTable) -> tuple[str, ...]:
    """Columns with at least two different finite values."""
    values = _finite(table.values)
    observed = ~np.isnan(values)
    highest = np.where(observed, values, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(observed, values, np.inf).min(axis=0, initial=np.inf)
    with np.errstate(invalid="ignore"):
        varies = highest - lowest > 1e-9 * np.maximum(np.abs(highest), np.abs(lowest))
    usable = observed.any(axis=0) & varies
    return tuple(name for name, use in zip(table.names, usable) if use)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _scaler(scaling: Scaling) -> Any:
    from sklearn.preprocessing import RobustScaler, StandardScaler

    if scaling == "standard":
        return StandardScaler()
    return RobustScaler() if scaling == "robust" else NormalScores


def _imputer(imputation: Imputation) -> Any:
    from sklearn.impute import KNNImputer, SimpleImputer

    return KNNImputer(n_neighbors=NEIGHBOURS) if imputation == "knn" else SimpleImputer(strategy="median")
