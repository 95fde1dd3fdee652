"""Scores of nested predictions: order within folds, everything else over all patients, and the mean over repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobrats.evaluation.survival.intervals import Estimator, Score, measure
from autobrats.evaluation.survival.metrics import ORDER_METRICS, direction_of
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.evaluation.survival.scores import Metric, survival_metrics_of
from autobrats.survival.cohort import Cohort

WITHIN_FOLDS = ("spearman_r", *ORDER_METRICS)
"""Metrics of order: the risks of two folds come from two models."""
BRIEF = ("accuracy", "class_accuracy", "mse", "median_se", "std_se", "spearman_r", "c_harrell", "c_ipcw")
"""Those that every row of the table has; the others take time."""


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
    for name in metrics:
        metric = _over_repeats(name, cohort, repeats, folds)
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
    one, other = (_over_repeats(name, cohort, it, folds) for it in (first, second))
    a, b = one.estimator, other.estimator
    if a is None or b is None:
        return Score(patients=one.patients, reason=one.reason or other.reason)
    sign = direction_of(name)
    return measure(lambda draws: sign * (a(draws) - b(draws)), len(cohort), patients=one.patients, seed=seed)


def _over_repeats(name: str, cohort: Cohort, repeats: Sequence[SurvivalPredictions], folds: np.ndarray) -> Metric:
    """The mean of a metric over repeats, and over folds if it is one of order."""
    parts: list[tuple[np.ndarray | slice, Estimator]] = []
    patients, reason = 0, ""
    for predicted, of_patient in zip(repeats, folds, strict=True):
        everyone = np.arange(len(cohort))
        groups = (
            [np.flatnonzero(of_patient == fold) for fold in np.unique(of_patient)]
            if name in WITHIN_FOLDS
            else [everyone]
        )
        counted = 0
        for members in groups:
            metric = survival_metrics_of(cohort.days[members], cohort.died[members], predicted.rows(members))[name]
            counted += metric.patients
            reason = reason or metric.reason
            if metric.estimator is not None:
                parts.append((members, metric.estimator))
        patients = counted
    if not parts:
        return Metric(None, patients, reason)

    def estimator(draws: np.ndarray) -> np.ndarray:
        values = np.stack([estimate(draws[:, members]) for members, estimate in parts])
        if name == "spearman_r":
            # The same days for everyone put nobody in order: that is an answer, and not a missing one.
            values = np.nan_to_num(values, nan=0.0)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)

    return Metric(estimator, patients, reason)
