"""Survival in three classes, of patients whose class is certain: confusion and balanced accuracy."""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.portal import CLASSES, LONG_ABOVE_DAYS


def has_certain_class(days: np.ndarray, died: np.ndarray) -> np.ndarray:
    """Who is known to belong to a class, bool, shape (patient,): who died, and who was alive after 450 days (long)."""
    return np.asarray(died, bool) | (np.asarray(days) > LONG_ABOVE_DAYS)


def confusion(reference: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Patients by class: integers, shape (reference, prediction), both in the order of the classes.

    Args:
        reference: places in ``CLASSES``, shape (patient,).
        predicted: likewise.
    """
    size = len(CLASSES)
    return np.bincount(size * np.asarray(reference) + np.asarray(predicted), minlength=size**2).reshape(size, size)


def resampled_balanced_accuracy(reference: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The mean over the classes that are there of the share of their patients that was put in them, in each resample.

    NaN for an empty resample; a third is what any guess reaches that does not look at the patient.

    Args:
        reference: places in ``CLASSES``, shape (patient,).
        predicted: likewise.
        draws: how often each patient is in each resample, shape (resample, patient).
    """
    right = (reference == predicted).astype(np.float64)
    sums, classes = np.zeros(len(draws)), np.zeros(len(draws))
    for place in range(len(CLASSES)):
        members = (reference == place).astype(np.float64)
        number = draws @ members
        there = number > 0
        sums[there] += (draws @ (members * right))[there] / number[there]
        classes += there
    with np.errstate(invalid="ignore"):
        return sums / classes
