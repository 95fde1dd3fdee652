"""Which features a model's risk depends on: in general, and for one patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Protocol

import numpy as np

from autobrats.evaluation.survival.concordance import ComparablePairs
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable

MOST_EXACT_FEATURES = 8
SAMPLED_ORDERS = 64


class RiskModel(Protocol):
    """What is explained."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the model reads."""

    def risk(self, table: FeatureTable) -> np.ndarray:
        """Shape (patient,), higher where patients die sooner."""


@dataclass(frozen=True)
class FeatureImportance:
    """How much a model loses without a feature.

    Attributes:
        feature: its column.
        drop: of the C-index when the values are shuffled between patients; the mean over the repeats.
        spread: standard deviation of the drop over the repeats.
    """

    feature: str
    drop: float
    spread: float


@dataclass(frozen=True)
class Contribution:
    """What one feature did to one patient's risk.

    Attributes:
        feature: its column.
        value: the patient's; NaN where it is missing.
        reference: the median of the training patients.
        effect: on the risk, above 0 where it makes it higher than the reference does.
    """

    feature: str
    value: float
    reference: float
    effect: float


@dataclass(frozen=True)
class PatientExplanation:
    """Why a patient's risk is what it is: the effects add up to ``risk - reference_risk``.

    Attributes:
        patient: of the table.
        risk: predicted.
        reference_risk: of a patient with the training median of every feature.
        contributions: the strongest first.
    """

    patient: str
    risk: float
    reference_risk: float
    contributions: tuple[Contribution, ...]


def permutation_importances(
    held_out: Sequence[tuple[RiskModel, Cohort]], *, repeats: int = 20, seed: int = 0
) -> list[FeatureImportance]:
    """The drop of Harrell's C when one feature is shuffled, most important first.

    Breiman, Machine Learning 2001, doi:10.1023/A:1010933404324, section 10. Correlated features stand in for each other, so
    that each of them seems to matter little.

    Args:
        held_out: models, each with patients that it did not learn from; they count by their comparable pairs, and a feature
            that a model does not use changes nothing in its patients.
        repeats: shufflings.
        seed: of the shufflings.
    """
    drops: dict[str, np.ndarray] = {}
    total = 0
    rng = np.random.default_rng(seed)
    for model, cohort in held_out:
        pairs = ComparablePairs(cohort.days, cohort.died)
        total += pairs.count
        if not pairs.count:
            continue
        table = cohort.features
        before = pairs.harrell(model.risk(table))
        for feature in model.features:
            place = table.names.index(feature)
            values = np.tile(table.values, (repeats, 1))
            shuffled = [rng.permutation(table.values[:, place]) for _ in range(repeats)]
            values[:, place] = np.concatenate(shuffled)
            risks = model.risk(_numbered(table.names, values)).reshape(repeats, -1)
            after = np.array([pairs.harrell(risk) for risk in risks])
            drops[feature] = drops.get(feature, np.zeros(repeats)) + pairs.count * (before - after)
    importances = [
        FeatureImportance(feature, float(drop.mean() / total), float(drop.std() / total))
        for feature, drop in drops.items()
    ]
    return sorted(importances, key=lambda importance: -importance.drop)


def explain_patients(
    model: RiskModel, table: FeatureTable, reference: Mapping[str, float], *, seed: int = 0
) -> list[PatientExplanation]:
    """Shapley values of the risk, one explanation a patient.

    Features that are not in a coalition have the reference's value (the baseline Shapley value of Sundararajan and Najmi,
    ICML 2020, arXiv:1908.08474). Exact for up to eight features; else the mean over random orders of the features and the
    same orders reversed (Castro et al., Computers & Operations Research 2009, doi:10.1016/j.cor.2008.04.004), which add up
    exactly too.

    Args:
        model: whose risk is explained.
        table: the patients.
        reference: the training median by feature.
        seed: of the orders.
    """
    names = model.features
    baseline = np.array([reference[name] for name in names])
    rows = table.select(names).values

    def risk(values: np.ndarray) -> np.ndarray:
        return model.risk(_numbered(names, values))

    reference_risk = float(risk(baseline[None])[0])
    explanations = []
    for patient, row, risk_of_patient in zip(table.patients, rows, risk(rows) if len(rows) else ()):
        effects = _shapley_values(risk, row, baseline, np.random.default_rng(seed))
        contributions = [
            Contribution(name, float(value), float(usual), float(effect))
            for name, value, usual, effect in zip(names, row, baseline, effects)
        ]
        contributions.sort(key=lambda contribution: -abs(contribution.effect))
        explanations.append(PatientExplanation(patient, float(risk_of_patient), reference_risk, tuple(contributions)))
    return explanations


_Risk = Callable[[np.ndarray], np.ndarray]


def _shapley_values(risk: _Risk, row: np.ndarray, baseline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not len(row):
        return np.zeros(0)
    if len(row) <= MOST_EXACT_FEATURES:
        return _exact_shapley_values(risk, row, baseline)
    return _sampled_shapley_values(risk, row, baseline, rng)


def _exact_shapley_values(risk: _Risk, row: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """All coalitions: Shapley, Contributions to the Theory of Games II, 1953."""
    size = len(row)
    coalitions = [frozenset(chosen) for number in range(size + 1) for chosen in combinations(range(size), number)]
    values = np.array(
        [[row[place] if place in chosen else baseline[place] for place in range(size)] for chosen in coalitions]
    )
    worth = dict(zip(coalitions, risk(values)))
    effects = np.zeros(size)
    for chosen in coalitions:
        weight = (
            factorial(len(chosen)) * factorial(size - len(chosen) - 1) / factorial(size) if len(chosen) < size else 0.0
        )
        for place in set(range(size)) - chosen:
            effects[place] += weight * (worth[chosen | {place}] - worth[chosen])
    return effects


def _sampled_shapley_values(risk: _Risk, row: np.ndarray, baseline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    orders = [rng.permutation(len(row)) for _ in range(SAMPLED_ORDERS // 2)]
    orders += [order[::-1] for order in orders]
    steps = np.tile(baseline, (len(orders), len(row) + 1, 1))
    for number, order in enumerate(orders):
        for step, place in enumerate(order, start=1):
            steps[number, step:, place] = row[place]
    risks = risk(steps.reshape(-1, len(row))).reshape(len(orders), -1)
    effects = np.zeros(len(row))
    for order, gains in zip(orders, np.diff(risks, axis=1)):
        effects[order] += gains
    return effects / len(orders)


def _numbered(names: tuple[str, ...], values: np.ndarray) -> FeatureTable:
    """A table whose patients need no names."""
    return FeatureTable(tuple(map(str, range(len(values)))), names, values)
