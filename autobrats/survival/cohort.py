"""A cohort: patients with features and with what is known of their survival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.survival.feature_table import FeatureTable


@dataclass(frozen=True)
class Cohort:
    """Patients to learn from.

    Attributes:
        features: a row a patient.
        days: float64, shape (patient,), above 0: from the baseline to death or to the last time the patient was seen alive.
        died: bool, shape (patient,): True if the patient died on that day, False if censored there.
    """

    features: FeatureTable
    days: np.ndarray
    died: np.ndarray

    def __post_init__(self) -> None:
        patients = len(self.features.patients)
        if self.days.shape != (patients,) or self.died.shape != (patients,):
            raise ValueError(f"{patients} patients need as many days and events.")

    def __len__(self) -> int:
        return len(self.days)

    @property
    def censored(self) -> bool:
        """Whether any patient was still alive when last seen."""
        return not bool(self.died.all())

    def rows(self, indices: Sequence[int] | np.ndarray) -> Cohort:
        """These patients, in this order."""
        return Cohort(self.features.rows(indices), self.days[indices], self.died[indices])
