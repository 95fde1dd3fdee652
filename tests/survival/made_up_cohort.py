"""A cohort whose law is known: age, a tumour's volume, and features that say nothing."""

import numpy as np

from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable


def made_up_cohort(
    patients: int = 120,
    *,
    age_effect: float = 0.8,
    volume_effect: float = 0.0,
    noise_features: int = 6,
    censored: float = 0.3,
    seed: int = 0,
) -> Cohort:
    """Weibull times with proportional hazards in standardised age and volume; censoring independent of both."""
    rng = np.random.default_rng(seed)
    age, volume = rng.normal(size=(2, patients))
    hazard = np.exp(age_effect * age + volume_effect * volume)
    time = 500 * (rng.exponential(size=patients) / hazard) ** 0.7 + 1
    end = (
        rng.uniform(0, np.quantile(time, 1 - censored / 2) * 2, patients) + 1 if censored else np.full(patients, np.inf)
    )
    names = ["clinical_age", "size_WT_ml", *(f"WT_t1c_firstorder_Noise{number}" for number in range(noise_features))]
    values = np.column_stack([60 + 12 * age, 80 + 30 * volume, rng.normal(size=(patients, noise_features))])
    table = FeatureTable(tuple(f"P{number:03d}" for number in range(patients)), tuple(names), values)
    return Cohort(table, np.minimum(time, end), time <= end)
