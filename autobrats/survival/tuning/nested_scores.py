"""Scores of nested predictions: order within folds, everything else over all patients, and the mean over repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobrats.evaluation.survival.intervals import Score, measure
from autobrats.evaluation.survival.metrics import ORDER_METRICS, direction_of
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.evaluation.survival.scores import Metric, survival_metrics_of
from autobrats.survival.cohort import Cohort

WITHIN_FOLDS = ("spearman_r", *ORDER_METRICS)
"""Metrics of order: the risks of two folds come from two models."""
BRIEF = ("accuracy", "class_accuracy", "mse", "median_se", "std_se", "spearman_r", "c_harrell", "c_ipcw")
"""Those that every row of the table has; the others take time."""

_Part = tuple[np.ndarray, Metric]
"""Rows of patients, and a metric of them."""


def nested_scores(
    cohort: Cohort,
    repeats: Sequence[SurvivalPredictions],
    folds: np.ndarray,
    metrics: Sequence[str],
    *,
    intervals: bool = True,
    seed: int = 0,
) -> dict[str, Score]:
    """Metrics with 95 % intervals over patients.

    Args:
        cohort: the patients.
        repeats: of all patients, one a repeat.
        folds: of the patients, shape (repeat, patient).
        metrics: of :data:`autobrats.evaluation.survival.metrics.SURVIVAL_METRICS`.
        intervals: whether to compute them.
        seed: of the resamples.
    """
    scores = {}
    for name, metric in _over_repeats(metrics, cohort, repeats, folds).items():
        if metric.estimator is None:
            scores[name] = Score(patients=metric.patients, reason=metric.reason)
        elif intervals:
            scores[name] = measure(
                metric.estimator, len(cohort), patients=metric.patients, reason=metric.reason, seed=seed
            )
        else:
            value = float(metric.estimator(np.ones((1, len(cohort)), np.float32))[0])
            known = bool(np.isfinite(value))
            scores[name] = Score(value=value if known else None, patients=metric.patients, reason=metric.reason)
    return scores


def nested_gain(
    name: str,
    cohort: Cohort,
    first: Sequence[SurvivalPredictions],
    second: Sequence[SurvivalPredictions],
    folds: np.ndarray,
    *,
    seed: int = 0,
) -> Score:
    """By how much the first is better than the second in a metric (above 0: better), of the same resamples.

    Args:
        name: of the metric.
        cohort, folds, seed: as for :func:`nested_scores`.
        first, second: predictions of all patients, one a repeat.
    """
    one, other = (_over_repeats([name], cohort, it, folds)[name] for it in (first, second))
    a, b = one.estimator, other.estimator
    if a is None or b is None:
        return Score(patients=one.patients, reason=one.reason or other.reason)
    sign = direction_of(name)
    return measure(lambda draws: sign * (a(draws) - b(draws)), len(cohort), patients=one.patients, seed=seed)


def _over_repeats(
    names: Sequence[str], cohort: Cohort, repeats: Sequence[SurvivalPredictions], folds: np.ndarray
) -> dict[str, Metric]:
    """The mean of each metric over repeats, and over folds if it is one of order."""
    everyone = np.arange(len(cohort))
    parts: dict[str, list[list[_Part]]] = {name: [] for name in names}
    for predicted, of_patient in zip(repeats, folds, strict=True):
        within = [np.flatnonzero(of_patient == fold) for fold in np.unique(of_patient)]
        for groups, wanted in (
            (within, [name for name in names if name in WITHIN_FOLDS]),
            ([everyone], [name for name in names if name not in WITHIN_FOLDS]),
        ):
            if not wanted:
                continue
            found = [(it, survival_metrics_of(cohort.days[it], cohort.died[it], predicted.rows(it))) for it in groups]
            for name in wanted:
                parts[name].append([(members, metrics[name]) for members, metrics in found])
    return {name: _mean_metric(name, of_name) for name, of_name in parts.items()}


def _mean_metric(name: str, repeats: Sequence[Sequence[_Part]]) -> Metric:
    """Of a metric's parts, which stand on groups of patients that make up all of them in each repeat."""
    patients = sum(metric.patients for _, metric in repeats[-1])
    reason = next((metric.reason for parts in repeats for _, metric in parts if metric.reason), "")
    known_parts = [
        (members, metric.estimator) for parts in repeats for members, metric in parts if metric.estimator is not None
    ]
    if not known_parts:
        return Metric(None, patients, reason)

    def estimator(draws: np.ndarray) -> np.ndarray:
        values = np.stack([estimate(draws[:, members]) for members, estimate in known_parts])
        if name == "spearman_r":
            # The same days for everyone put nobody in order: that is an answer, and not a missing one.
            values = np.nan_to_num(values, nan=0.0)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)

    return Metric(estimator, patients, reason)
