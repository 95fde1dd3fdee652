"""Cohorts whose survival follows a known law."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable

AGE, GRADE, MALE = "clinical_age", "clinical_grade", "clinical_male"
MakeCohort = Callable[..., Cohort]


@pytest.fixture(scope="session")
def make_cohort() -> MakeCohort:
    """Log days fall by 0.6 with each deviation of age and rise by 0.5 with that of the first texture; the rest is noise."""

    def make(
        patients: int = 200, textures: int = 4, censored: bool = True, missing: float = 0.0, seed: int = 0
    ) -> Cohort:
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(patients, textures + 1))
        age, texture = 55 + 12 * scores[:, 0], scores[:, 1:] * 30 + 100
        grade, male = rng.integers(2, 5, patients), rng.integers(0, 2, patients)
        log_days = 6 - 0.6 * scores[:, 0] + 0.5 * scores[:, 1] + 0.5 * rng.normal(size=patients)
        end = np.exp(6.8 + 0.7 * rng.normal(size=patients)) if censored else np.full(patients, np.inf)
        names = (AGE, GRADE, MALE, *(f"WT_t1c_glcm_F{place}" for place in range(textures)))
        values = np.column_stack([age, grade, male, texture]).astype(float)
        values[rng.random(values.shape) < missing] = np.nan
        days = np.exp(log_days)
        table = FeatureTable(tuple(f"p{place:04d}" for place in range(patients)), names, values)
        return Cohort(table, np.minimum(days, end), days <= end)

    return make
