"""The models that any other must beat: age alone, and age with the grade or the extent of resection."""

from __future__ import annotations

import numpy as np

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.spec import ModelKind, ModelOptions, ModelSpec
from autobrats.survival.tuning.objectives import Objective

AGE = "clinical_age"
NO_FEATURES = "no features"
GRADE, RESECTION, BIOPSY = "clinical_grade", "clinical_gross_total_resection", "clinical_biopsy_only"
_NEEDED = {
    "age": (AGE,),
    "age and grade": (AGE, GRADE),
    "age and resection": (AGE, RESECTION),
    "age, grade and resection": (AGE, GRADE, RESECTION),
}
_LEAST_KNOWN = 0.5
"""A column counts as given if so many of the patients have it."""


def baselines(cohort: Cohort, objective: Objective) -> dict[str, ModelSpec]:
    """The baselines that the columns of the cohort allow, by name, the simplest first; without ages, one that knows nothing.

    Cox regression where patients are censored or the C-index counts; else ridge regression of the logarithm of days.

    Args:
        cohort: whose columns are looked at: one with the same value in all patients, or known of less than half, does not
            count as given.
        objective: what the models are compared by.
    """
    given = {name for name in cohort.features.names if _is_given(cohort.features.column(name))}
    kind: ModelKind = "cox" if cohort.censored or objective == "c_index" else "ridge"
    found: dict[str, ModelSpec] = {}
    if AGE not in given:
        return {NO_FEATURES: ModelSpec(columns=(), model=kind)}
    for name, needed in _NEEDED.items():
        if given.issuperset(needed):
            biopsy = (BIOPSY,) if RESECTION in needed and BIOPSY in given else ()
            found[name] = ModelSpec(columns=(*needed, *biopsy), model=kind, options=ModelOptions(alpha=1.0))
    return found


def _is_given(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return len(known) >= _LEAST_KNOWN * len(values) and len(np.unique(known)) > 1
