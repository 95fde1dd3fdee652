"""Predictions of survival scored against what became of the patients: every metric, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobrats.evaluation.survival import time_dependent
from autobrats.evaluation.survival.calibration import Calibration, calibrate
from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.classes import confusion, has_certain_class, resampled_balanced_accuracy
from autobrats.evaluation.survival.concordance import ComparablePairs, ipcw_c_many
from autobrats.evaluation.survival.intervals import Estimator, Score, measure, resampled_mean, resampled_median
from autobrats.evaluation.survival.metrics import SURVIVAL_METRICS, SurvivalMetrics
from autobrats.evaluation.survival.portal import (
    LONG_ABOVE_DAYS,
    PORTAL_METRICS,
    SHORT_BELOW_DAYS,
    resampled_portal,
    survival_classes,
)
from autobrats.evaluation.survival.predictions import SurvivalPredictions

LAST_DAYS = {SHORT_BELOW_DAYS: float(np.nextafter(SHORT_BELOW_DAYS, 0)), LONG_ABOVE_DAYS: LONG_ABOVE_DAYS}
"""Until when a patient must have died to be below each border: 300 days belong to the middle class, and so do 450."""


@dataclass(frozen=True)
class Metric:
    """A metric of one prediction: how to compute it, on how many patients it stands, and why it may be missing."""

    estimator: Estimator | None
    patients: int
    reason: str


def score_survival(
    days: np.ndarray,
    died: np.ndarray,
    predicted: SurvivalPredictions,
    training: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    seed: int = 0,
) -> SurvivalMetrics:
    """Score predictions with every metric that they allow.

    Censored patients count in the C-indices, AUC, Brier scores and calibration; in a class only if it is certain (alive
    after 450 days); in the portal's metrics and the coverage of intervals not at all.

    Args:
        days: to death or censoring, above 0, shape (patient,).
        died: bool, shape (patient,).
        predicted: for the same patients, in the same order.
        training: days and died of the patients that the distribution of censoring is taken from; None takes the scored
            ones.
        seed: of the intervals.

    Raises:
        ValueError: if there are no patients, the shapes differ, or a day is not above 0.
    """
    censoring = _checked(days, died, predicted, training)
    certain = has_certain_class(censoring.days, censoring.died)
    classes = predicted.predicted_classes
    table = (
        []
        if classes is None or not certain.any()
        else confusion(survival_classes(censoring.days[certain]), classes[certain]).tolist()
    )
    return SurvivalMetrics(
        patients=len(predicted),
        deaths=int(censoring.died.sum()),
        certain_classes=int(certain.sum()),
        horizon_days=censoring.horizon_days,
        scores={
            name: Score(patients=metric.patients, reason=metric.reason)
            if metric.estimator is None
            else measure(metric.estimator, len(predicted), patients=metric.patients, reason=metric.reason, seed=seed)
            for name, metric in _metrics(censoring, predicted).items()
        },
        confusion=table,
        calibration=_calibration(censoring, predicted, seed),
    )


def compare_survival(
    days: np.ndarray,
    died: np.ndarray,
    first: SurvivalPredictions,
    second: SurvivalPredictions,
    training: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Score]:
    """Every metric of one prediction minus that of another, of the same patients in the same resamples.

    Arguments and errors are those of :func:`score_survival`.
    """
    one = survival_metrics_of(days, died, first, training)
    other = survival_metrics_of(days, died, second, training)
    return {name: _difference(one[name], other[name], len(first), seed) for name in SURVIVAL_METRICS}


def survival_metrics_of(
    days: np.ndarray,
    died: np.ndarray,
    predicted: SurvivalPredictions,
    training: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Metric]:
    """All of ``SURVIVAL_METRICS``, ready to be computed in any resample of the patients.

    Arguments and errors are those of :func:`score_survival`.
    """
    return _metrics(_checked(days, died, predicted, training), predicted)


def _difference(one: Metric, other: Metric, drawn: int, seed: int) -> Score:
    a, b = one.estimator, other.estimator
    if a is None or b is None:
        return Score(patients=one.patients, reason=one.reason if a is None else other.reason)
    return measure(
        lambda draws: a(draws) - b(draws),
        drawn,
        patients=one.patients,
        reason=f"of one of the two: {one.reason}",
        seed=seed,
    )


def _checked(
    days: np.ndarray,
    died: np.ndarray,
    predicted: SurvivalPredictions,
    training: tuple[np.ndarray, np.ndarray] | None,
) -> Censoring:
    days, died = np.asarray(days, np.float64), np.asarray(died, bool)
    if not len(predicted) or days.shape != (len(predicted),) or died.shape != days.shape:
        raise ValueError(
            f"{len(predicted)} predictions need as many outcomes and at least one; got {days.shape}, {died.shape}."
        )
    if not (np.isfinite(days) & (days > 0)).all():
        raise ValueError("Days must be above 0.")
    return Censoring(days, died, training)


def _metrics(censoring: Censoring, predicted: SurvivalPredictions) -> dict[str, Metric]:
    """All of ``SURVIVAL_METRICS``, in their order."""
    metrics = {
        **_portal(censoring, predicted),
        **_classes(censoring, predicted),
        **_order(censoring, predicted.order),
        **_probabilities(censoring, predicted),
        **_intervals(censoring, predicted),
    }
    return {name: metrics[name] for name in SURVIVAL_METRICS}


def _portal(censoring: Censoring, predicted: SurvivalPredictions) -> dict[str, Metric]:
    died = censoring.died
    number = int(died.sum())
    if predicted.days is None:
        return dict.fromkeys(PORTAL_METRICS, Metric(None, number, "no days were predicted"))
    if not number:
        return dict.fromkeys(PORTAL_METRICS, Metric(None, 0, "nobody died"))
    lived, told = censoring.days[died], predicted.days[died]

    def estimator(name: str) -> Estimator:
        return lambda draws: resampled_portal(name, lived, told, draws[:, died])

    reasons = {"spearman_r": "the same days were predicted for all, or all lived equally long"}
    return {name: Metric(estimator(name), number, reasons.get(name, "")) for name in PORTAL_METRICS}


def _classes(censoring: Censoring, predicted: SurvivalPredictions) -> dict[str, Metric]:
    certain = has_certain_class(censoring.days, censoring.died)
    number, classes = int(certain.sum()), predicted.predicted_classes
    names = ("class_accuracy", "balanced_accuracy")
    if classes is None:
        return dict.fromkeys(names, Metric(None, number, "no classes and no days were predicted"))
    if not number:
        return dict.fromkeys(names, Metric(None, 0, "nobody died or was alive after 450 days"))
    reference, told = survival_classes(censoring.days[certain]), classes[certain]
    right = (reference == told).astype(np.float64)
    one_class = "all patients are of one class" if len(np.unique(reference)) == 1 else ""
    return {
        "class_accuracy": Metric(lambda draws: resampled_mean(right, draws[:, certain]), number, ""),
        "balanced_accuracy": Metric(
            None if one_class else lambda draws: resampled_balanced_accuracy(reference, told, draws[:, certain]),
            number,
            one_class,
        ),
    }


def _order(censoring: Censoring, risk: np.ndarray) -> dict[str, Metric]:
    number, pairs = len(risk), ComparablePairs(censoring.days, censoring.died)
    no_pair = "of no two patients is it known who died first"
    metrics = {
        "c_harrell": Metric(lambda draws: pairs.resampled(risk, draws), number, no_pair),
        "c_ipcw": Metric(lambda draws: ipcw_c_many(risk, censoring, draws), number, no_pair),
    }
    for border in LAST_DAYS:
        metrics[f"auc_{border:g}"] = _at_border(border, censoring, _auc(risk, LAST_DAYS[border], censoring))
    times = time_dependent.days_within_follow_up(censoring)
    metrics["auc_mean"] = Metric(
        (lambda draws: time_dependent.resampled_mean_auc(risk, times, censoring, draws)) if len(times) else None,
        number,
        "nobody died before the last patient was seen",
    )
    return metrics


def _probabilities(censoring: Censoring, predicted: SurvivalPredictions) -> dict[str, Metric]:
    metrics = {}
    for border, last in LAST_DAYS.items():
        survival = predicted.survival_at(border)
        metrics[f"brier_{border:g}"] = (
            Metric(None, len(predicted), f"survival after {border:g} days was not predicted")
            if survival is None
            else _at_border(border, censoring, _brier(survival, last, censoring))
        )
    return {**metrics, "brier_integrated": _integrated_brier(censoring, predicted)}


def _auc(risk: np.ndarray, day: float, censoring: Censoring) -> Estimator:
    at = np.array([day])
    return lambda draws: time_dependent.resampled_auc(risk, at, censoring, draws)[:, 0]


def _brier(survival: np.ndarray, day: float, censoring: Censoring) -> Estimator:
    at = np.array([day])
    return lambda draws: time_dependent.resampled_brier(survival[:, None], at, censoring, draws)[:, 0]


def _at_border(border: float, censoring: Censoring, estimator: Estimator) -> Metric:
    """A metric on a class's border, if the follow-up reaches it."""
    if not time_dependent.is_within_follow_up(LAST_DAYS[border], censoring):
        return Metric(None, len(censoring.days), f"too few deaths before or patients after {border:g} days")
    return Metric(estimator, len(censoring.days), "")


def _integrated_brier(censoring: Censoring, predicted: SurvivalPredictions) -> Metric:
    number, days, curves = len(predicted), predicted.curve_days, predicted.curves
    if curves is None or days is None:
        return Metric(None, number, "no survival curves were predicted")
    within = np.array([time_dependent.is_within_follow_up(day, censoring) for day in days])
    if within.sum() < 2:
        return Metric(None, number, "the survival curves have fewer than two days within the follow-up")
    times, survival = days[within], curves[:, within]
    return Metric(
        lambda draws: time_dependent.resampled_integrated_brier(survival, times, censoring, draws), number, ""
    )


def _intervals(censoring: Censoring, predicted: SurvivalPredictions) -> dict[str, Metric]:
    """The share of those who died whose days lie in their interval, and how wide the intervals are in the median."""
    low, high, died = predicted.days_low, predicted.days_high, censoring.died
    number = int(died.sum())
    if low is None or high is None:
        missing = Metric(None, number, "no intervals were predicted")
        return {"interval_coverage": missing, "interval_width": missing}
    inside = ((low <= censoring.days) & (censoring.days <= high))[died].astype(np.float64)
    width = high - low
    return {
        "interval_coverage": Metric(lambda draws: resampled_mean(inside, draws[:, died]), number, "nobody died"),
        "interval_width": Metric(lambda draws: resampled_median(width, draws), len(predicted), ""),
    }


def _calibration(censoring: Censoring, predicted: SurvivalPredictions, seed: int) -> list[Calibration]:
    told = []
    for border, last in LAST_DAYS.items():
        survival = predicted.survival_at(border)
        if survival is not None:
            told.append(calibrate(survival, last, censoring, seed=seed).model_copy(update={"day": border}))
    return told
