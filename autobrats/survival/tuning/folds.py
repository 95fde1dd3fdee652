"""Folds of patients for survival: stratified by death and by how long they lived."""

from __future__ import annotations

import numpy as np

_TIME_GROUPS = 4


def survival_folds(days: np.ndarray, died: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold 0..folds-1 of every patient, shape (patient,).

    Within those who died and within those who are censored, patients are sorted into four groups by their time; the
    members of a group, in random order, are dealt to the folds in turn. Folds differ by at most one patient in size.

    Args:
        days: shape (patient,).
        died: bool, shape (patient,).
        folds: from 2 to the number of patients.
        seed: of the random order.
    """
    if not 2 <= folds <= len(days):
        raise ValueError(f"{len(days)} patients cannot be divided into {folds} folds.")
    rng = np.random.default_rng(seed)
    order: list[int] = []
    for group in (died, ~died):
        by_time = np.flatnonzero(group)[np.argsort(days[group], kind="stable")]
        for part in np.array_split(by_time, _TIME_GROUPS):
            order.extend(rng.permutation(part))
    dealt = np.empty(len(days), int)
    dealt[np.array(order)] = (np.arange(len(days)) + rng.integers(folds)) % folds
    return dealt
