"""Patients dealt into groups, so that a choice made on some is judged on others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

GROUPS = 5


def patient_groups(patients: Mapping[str, str], *, groups: int = GROUPS, seed: int = 0) -> dict[str, int]:
    """The group, 0 to at most ``groups`` - 1, of every case; the cases of a patient are in one group.

    Args:
        patients: by case.
    """
    names = sorted(set(patients.values()))
    np.random.default_rng(seed).shuffle(names)
    group_of = {patient: index % groups for index, patient in enumerate(names)}
    return {case: group_of[patient] for case, patient in patients.items()}
