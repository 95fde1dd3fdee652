"""Metrics at given days with censored patients weighted: dynamic AUC, the Brier score, and their means over time.

The estimators are those of scikit-survival, with which the tests compare them, but for many resamples at once.
"""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.concordance import TIED_RISK
from autobrats.evaluation.survival.kaplan_meier import survival_at

_TENTHS = np.arange(1, 10) / 10


def days_within_follow_up(censoring: Censoring) -> np.ndarray:
    """Days to average over: the deciles of the deaths until the horizon, each before the last patient was seen."""
    deaths = censoring.days[censoring.died & (censoring.days <= censoring.horizon_days)]
    if not len(deaths):
        return np.empty(0)
    deciles = np.unique(np.quantile(deaths, _TENTHS))
    return deciles[deciles < censoring.days.max()]


def is_within_follow_up(day: float, censoring: Censoring) -> bool:
    """Whether a metric can be computed on a day: deaths until then, patients seen after it, before the horizon."""
    died_until = bool((censoring.died & (censoring.days <= day)).any())
    return died_until and day <= censoring.horizon_days and day < censoring.days.max()


def resampled_auc(risk: np.ndarray, at: np.ndarray, censoring: Censoring, draws: np.ndarray) -> np.ndarray:
    """The cumulative/dynamic AUC (Uno et al. 2007, doi:10.1198/016214507000000149).

    On a day, the probability that who died until then has a higher risk than who was alive after it.

    Args:
        risk: shape (patient,); higher means an earlier death.
        at: days, shape (at,).
        censoring: of these patients.
        draws: how often each patient is in each resample, shape (resample, patient).

    Returns:
        Shape (resample, at); 0.5 is chance, NaN where a resample has nobody on one side.
    """
    difference = np.asarray(risk, np.float64)[:, None] - np.asarray(risk, np.float64)[None, :]
    ahead = 0.5 * (difference > TIED_RISK) + 0.5 * (difference >= -TIED_RISK)
    drawn = np.asarray(draws, np.float64)
    weighted = drawn * censoring.death_weights(draws)
    values = np.empty((len(drawn), len(at)))
    for place, day in enumerate(at):
        cases, controls = censoring.died & (censoring.days <= day), censoring.days > day
        won = np.einsum("rj,rj->r", weighted[:, cases] @ ahead[np.ix_(cases, controls)], drawn[:, controls])
        pairs = weighted[:, cases].sum(axis=1) * drawn[:, controls].sum(axis=1)
        values[:, place] = np.divide(won, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0)
    return values


def resampled_mean_auc(risk: np.ndarray, at: np.ndarray, censoring: Censoring, draws: np.ndarray) -> np.ndarray:
    """The mean of the AUC over ``at``, weighted by how many die between these days (Lambert and Chevret 2016).

    Returns:
        Shape (resample,); NaN where a day has none.
    """
    values = resampled_auc(risk, at, censoring, draws)
    survival = survival_at(censoring.days, censoring.died, at, draws)
    falls = -np.diff(np.hstack([np.ones((len(survival), 1)), survival]), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (values * falls).sum(axis=1) / (1 - survival[:, -1])


def resampled_brier(survival: np.ndarray, at: np.ndarray, censoring: Censoring, draws: np.ndarray) -> np.ndarray:
    """The Brier score of predicted survival (Graf et al. 1999), weighted for censoring.

    Args:
        survival: the predicted probability to be alive after each of the days, shape (patient, at).
        at: days, shape (at,).
        censoring: of these patients.
        draws: how often each patient is in each resample, shape (resample, patient).

    Returns:
        Shape (resample, at): 0 is best, 0.25 what a probability of one half always gets.
    """
    drawn = np.asarray(draws, np.float64)
    of_deaths = drawn * censoring.death_weights(draws)
    of_survivors = censoring.survivor_weights(at, draws)
    values = np.empty((len(drawn), len(at)))
    for place, day in enumerate(at):
        dead = (censoring.died & (censoring.days <= day)) * np.square(survival[:, place])
        alive = (censoring.days > day) * np.square(1 - survival[:, place])
        values[:, place] = (of_deaths @ dead + of_survivors[:, place] * (drawn @ alive)) / drawn.sum(axis=1)
    return values


def resampled_integrated_brier(
    survival: np.ndarray, at: np.ndarray, censoring: Censoring, draws: np.ndarray
) -> np.ndarray:
    """The mean of the Brier score over time from the first of the days to the last (trapezoids); shape (resample,).

    Raises:
        ValueError: if there are not two days.
    """
    if len(at) < 2:
        raise ValueError(f"The Brier score is integrated over at least two days, got {len(at)}.")
    values = resampled_brier(survival, at, censoring, draws)
    middles = (values[:, 1:] + values[:, :-1]) / 2
    return (middles * np.diff(at)).sum(axis=1) / (at[-1] - at[0])
