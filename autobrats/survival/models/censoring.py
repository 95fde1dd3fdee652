"""Weights that make the patients whose end is known stand for those who were censored before it."""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.classes import has_certain_class
from autobrats.evaluation.survival.kaplan_meier import followed_at
from autobrats.evaluation.survival.portal import LONG_ABOVE_DAYS

LARGEST_WEIGHT = 20.0
"""Of one patient: weights are cut here, so that the few who died last do not decide everything."""


def death_weights(days: np.ndarray, died: np.ndarray) -> np.ndarray:
    """Inverse-probability-of-censoring weights, shape (patient,): 0 for the censored, 1 for all if none is censored.

    The weight of a patient who died at t is 1 / P(C >= t), cut at :data:`LARGEST_WEIGHT` (Robins and Finkelstein, Biometrics
    2000, doi:10.1111/j.0006-341X.2000.00779.x); C, the day of censoring, is taken to have the same distribution for all.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
    """
    return np.where(died, 1 / _followed_until(days, died, days), 0.0)


def class_weights(days: np.ndarray, died: np.ndarray) -> np.ndarray:
    """Weights of patients whose class is certain, shape (patient,): of those who died, and of those seen after 450 days.

    1 / P(C >= min(t, 450)), after Vock et al., Journal of Biomedical Informatics 2016, doi:10.1016/j.jbi.2016.03.009.

    Args:
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
    """
    reached = np.minimum(days, LONG_ABOVE_DAYS)
    return np.where(has_certain_class(days, died), 1 / _followed_until(days, died, reached), 0.0)


def _followed_until(days: np.ndarray, died: np.ndarray, at_days: np.ndarray) -> np.ndarray:
    """P(C >= t), the censorings of the day itself left out."""
    return np.maximum(followed_at(days, died, np.nextafter(at_days, 0))[0], 1 / LARGEST_WEIGHT)
