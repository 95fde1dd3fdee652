"""The metrics by which BraTS ranked survival: accuracy in three classes, errors in days, and rank correlation."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from autobrats.evaluation.survival.intervals import resampled_mean, resampled_median

SurvivalClass = Literal["short", "mid", "long"]
CLASSES: tuple[SurvivalClass, ...] = get_args(SurvivalClass)
SHORT_BELOW_DAYS, LONG_ABOVE_DAYS = 300.0, 450.0
"""The borders of the middle class, which belong to it: 10 and 15 months of 30 days."""
PORTAL_METRICS = ("accuracy", "mse", "median_se", "std_se", "spearman_r")
"""In the order of the portal, and of tables 3 and 4 of Anand et al. (2020)."""

_LEAST_VARIANCE = 1e-9
"""Of ranks, which are multiples of a half: anything smaller is rounding."""


def survival_class(days: float) -> SurvivalClass:
    """``short`` below 300 days, ``long`` above 450, else ``mid``.

    Raises:
        ValueError: if the days are not a number.
    """
    if days != days:
        raise ValueError("NaN days have no class.")
    return CLASSES[int(survival_classes(np.array([days]))[0])]


def survival_classes(days: np.ndarray) -> np.ndarray:
    """The places in :data:`CLASSES` of survival times in days, integers of the same shape."""
    days = np.asarray(days, np.float64)
    return (days >= SHORT_BELOW_DAYS).astype(np.int64) + (days > LONG_ABOVE_DAYS)


def portal_scores(days: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The portal's five metrics of predicted days; NaN where one is not defined.

    ``mse``, ``median_se`` and ``std_se`` are mean, median and standard deviation of the squared errors in days^2. The
    standard deviation is that of the population (divided by n, numpy's default): the challenge does not say which.

    Args:
        days: that the patients lived, all of whom died, shape (patient,).
        predicted: days, shape (patient,).

    Raises:
        ValueError: if there are no patients or the shapes differ.
    """
    days, predicted = np.asarray(days, np.float64), np.asarray(predicted, np.float64)
    if days.ndim != 1 or not days.size or days.shape != predicted.shape:
        raise ValueError(f"Days of shape {days.shape} and predictions of shape {predicted.shape} cannot be compared.")
    once = np.ones((1, len(days)))
    return {name: float(resampled_portal(name, days, predicted, once)[0]) for name in PORTAL_METRICS}


def resampled_portal(metric: str, days: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """One of the portal's metrics in many resamples of the patients, exactly as if each was scored by itself.

    Args:
        metric: of :data:`PORTAL_METRICS`.
        days: that the patients lived, shape (patient,).
        predicted: days, shape (patient,).
        draws: how often each patient is in each resample, shape (resample, patient).

    Returns:
        Shape (resample,); NaN for a resample in which the metric is not defined.
    """
    draws = np.asarray(draws, np.float64)
    if metric == "spearman_r":
        return _spearman(days, predicted, draws)
    if metric == "accuracy":
        return resampled_mean((survival_classes(days) == survival_classes(predicted)).astype(np.float64), draws)
    errors = np.square(np.asarray(predicted, np.float64) - days)
    if metric == "mse":
        return resampled_mean(errors, draws)
    if metric == "median_se":
        return resampled_median(errors, draws)
    if metric == "std_se":
        deviations = errors[None, :] - resampled_mean(errors, draws)[:, None]
        return np.sqrt(resampled_mean(np.square(deviations), draws))
    raise ValueError(f"'{metric}' is not a metric of the portal: {', '.join(PORTAL_METRICS)}.")


def _spearman(days: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the mid-ranks that the patients have within each resample."""
    one, other = (_centred(_ranks(values, draws), draws) for values in (days, predicted))
    number = draws.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variances = (draws * one**2).sum(axis=1) / number, (draws * other**2).sum(axis=1) / number
        covariance = (draws * one * other).sum(axis=1) / number
        correlation = covariance / np.sqrt(variances[0] * variances[1])
    return np.where((variances[0] > _LEAST_VARIANCE) & (variances[1] > _LEAST_VARIANCE), correlation, np.nan)


def _ranks(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    copies = np.add.reduceat(draws[:, order], starts, axis=1)
    return (np.cumsum(copies, axis=1) - (copies - 1) / 2)[:, place]


def _centred(ranks: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return ranks - resampled_mean(ranks, draws)[:, None]
