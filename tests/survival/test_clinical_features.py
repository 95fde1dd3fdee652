"""Clinical records as columns of numbers."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.survival.clinical_features import CLINICAL_FEATURES, clinical_features


def test_every_value_in_its_column():
    table = clinical_features(
        [
            ClinicalRecord("a", 61.5, True, 4, False, True, False, "GTR", 90.0, 100.0, True),
            ClinicalRecord("b", 33.0, False, 2, True, False, True, "STR", 70.0),
            ClinicalRecord("c", resection="biopsy"),
        ]
    )
    nan = np.nan
    assert table.patients == ("a", "b", "c")
    assert table.names == (
        *("clinical_age", "clinical_male", "clinical_grade", "clinical_idh_mutated", "clinical_mgmt_methylated"),
        *("clinical_codeleted_1p19q", "clinical_gross_total_resection", "clinical_biopsy_only", "clinical_kps"),
    )
    assert set(table.families) == {"clinical"}
    np.testing.assert_array_equal(
        table.values,
        [[61.5, 1, 4, 0, 1, 0, 1, 0, 90], [33, 0, 2, 1, 0, 1, 0, 0, 70], [nan, nan, nan, nan, nan, nan, 0, 1, nan]],
    )


def test_the_columns_are_always_the_same():
    for records in ([], [ClinicalRecord("a")]):
        table = clinical_features(records)
        assert table.names == CLINICAL_FEATURES and table.values.shape == (len(records), 9)
        assert np.isnan(table.values).all() and table.values.dtype == np.float64
