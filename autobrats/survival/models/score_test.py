"""The score test of a Cox model at zero, for many features at once."""

from __future__ import annotations

import numpy as np


def martingale_residuals(days: np.ndarray, died: np.ndarray) -> np.ndarray:
    """Of the model without features, shape (patient,): deaths (0 or 1) minus the Nelson-Aelen hazard up to the patient's day.

    Therneau et al., Biometrika 1990, doi:10.1093/biomet/77.1.147.
    """
    order = np.argsort(days, kind="stable")
    at_risk = len(days) - np.searchsorted(days[order], days[order], side="left")
    hazard = np.cumsum(died[order] / at_risk)
    # All patients of a day have the hazard of the day's end.
    return died - hazard[np.searchsorted(days[order], days, side="right") - 1]


def score_statistics(inputs: np.ndarray, days: np.ndarray, died: np.ndarray) -> np.ndarray:
    """The signed root of each input's score statistic, shape (input,): above 0 where higher values die sooner.

    The test of a coefficient of 0 in a Cox model of one feature, ties after Breslow (Cox, JRSS B 1972,
    doi:10.1111/j.2517-6161.1972.tb00899.x, section 5); for a 0/1 feature without ties it is the log-rank test.

    Args:
        inputs: shape (patient, input), without NaN.
        days: shape (patient,).
        died: shape (patient,).
    """
    order = np.argsort(-days, kind="stable")
    values = inputs[order] - inputs.mean(axis=0)
    at_risk = np.searchsorted(-days[order], -days[order], side="right")[died[order]]
    mean = np.cumsum(values, axis=0)[at_risk - 1] / at_risk[:, None]
    variance = np.cumsum(values**2, axis=0)[at_risk - 1] / at_risk[:, None] - mean**2
    score = (values[died[order]] - mean).sum(axis=0)
    information = np.maximum(variance, 0).sum(axis=0)
    return np.divide(score, np.sqrt(information), out=np.zeros_like(score), where=information > 1e-12)
