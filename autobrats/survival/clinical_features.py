"""What is known of a patient beside the images, as features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.survival.feature_table import CLINICAL_PREFIX, FeatureTable

_VALUES = {
    "age": "age_years",
    "male": "male",
    "grade": "grade",
    "idh_mutated": "idh_mutated",
    "mgmt_methylated": "mgmt_methylated",
    "codeleted_1p19q": "codeleted_1p19q",
    "gross_total_resection": "resection",
    "biopsy_only": "resection",
    "kps": "kps",
}
"""The record's attribute by feature."""
_RESECTIONS = {"gross_total_resection": "GTR", "biopsy_only": "biopsy"}

CLINICAL_FEATURES = tuple(CLINICAL_PREFIX + name for name in _VALUES)
"""The columns, always all of them: age in years, grade 2 to 4, KPS 10 to 100, and 1 or 0 for the others."""


def clinical_features(records: Sequence[ClinicalRecord]) -> FeatureTable:
    """The clinical features of patients; NaN where a value is not known.

    ``clinical_gross_total_resection`` is 1 for GTR, 0 for STR and for a biopsy; ``clinical_biopsy_only`` is 1 for a biopsy,
    else 0.

    Raises:
        ValueError: if a patient is there twice.
    """
    rows = [[_number(feature, getattr(record, name)) for feature, name in _VALUES.items()] for record in records]
    values = np.array(rows, dtype=np.float64).reshape(len(records), len(_VALUES))
    return FeatureTable(tuple(record.patient for record in records), CLINICAL_FEATURES, values)


def _number(feature: str, value: float | str | None) -> float:
    if value is None:
        return np.nan
    return float(value == _RESECTIONS[feature]) if isinstance(value, str) else float(value)
