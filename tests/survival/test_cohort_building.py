"""Who gets into a cohort, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autobrats.dataset.clinical.reading import read_clinical
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError
from autobrats.survival.clinical_features import CLINICAL_FEATURES
from autobrats.survival.cohort_building import build_cohort, build_features
from autobrats.survival.feature_table import FeatureTable


def record(name: str, days: float | None = 100.0, died: bool | None = True, **values) -> ClinicalRecord:
    return ClinicalRecord(name, survival_days=days, died=died, **values)


def features(*patients: str, **columns: list[float]) -> FeatureTable:
    """Columns of numbers; without any, one that counts the rows."""
    columns = columns or {"size_WT_surface_mm2": [float(row) for row in range(len(patients))]}
    return FeatureTable(patients, tuple(columns), np.array(list(columns.values()), dtype=float).T)


SMALL: dict[str, Any] = {"least_patients": 1, "least_deaths": 0}


def test_clinical_columns_come_first_then_the_features():
    table = features("b", "a", "x")
    cohort, notes = build_cohort(table, [record("a", 90, age_years=60), record("b", 80, False), record("y")], **SMALL)
    assert cohort.features.patients == ("b", "a")
    assert cohort.features.names == (*CLINICAL_FEATURES, "size_WT_surface_mm2")
    np.testing.assert_array_equal(cohort.days, [80, 90])
    np.testing.assert_array_equal(cohort.died, [False, True])
    np.testing.assert_array_equal(cohort.features.column("size_WT_surface_mm2"), [0, 1])
    np.testing.assert_array_equal(cohort.features.column("clinical_age"), [np.nan, 60])
    assert notes == [
        "1 row of the features left out: not in the clinical table, such as x",
        "1 row of the clinical table left out: without features, such as y",
        "2 patients with survival, 1 of them died",
    ]


def test_without_features_every_record_with_survival_counts():
    records = [record("a"), record("b", None, None), record("c", 50, None), record("d", 50, False)]
    cohort, notes = build_cohort(None, records, **SMALL)
    assert cohort.features.patients == ("a", "d") and cohort.features.names == CLINICAL_FEATURES
    assert notes == ["2 patients left out: survival is not known", "2 patients with survival, 1 of them died"]


def test_the_portal_s_rule_and_a_first_day():
    records = [
        record("a", 10, resection="GTR"),
        record("b", 100, resection="STR"),
        record("c", 100),
        record("d", 100, resection="GTR"),
    ]
    cohort, notes = build_cohort(None, records, gtr_only=True, min_days=30, **SMALL)
    assert cohort.features.patients == ("d",)
    assert notes[:2] == [
        "2 patients left out: no gross total resection, or not known",
        "1 patient left out: the last day is before day 30",
    ]


def test_ids_that_are_spelled_differently_are_joined_and_told():
    cohort, notes = build_cohort(features("UCSF-PDGM-0004_T1.nii.gz"), [record("UCSF-PDGM-004")], **SMALL)
    assert cohort.features.patients == ("UCSF-PDGM-004",)
    told = "1 id is spelled differently: UCSF-PDGM-0004_T1.nii.gz is UCSF-PDGM-004 in the clinical table"
    assert told in notes


def test_of_a_patient_s_lesions_the_largest_counts():
    lesions = features("P1_lesion1", "P1_lesion2", "P2_lesion1", size_WT_ml=[3, 8, 5])
    cohort, notes = build_cohort(lesions, [record("P1"), record("P2")], **SMALL)
    assert cohort.features.patients == ("P1", "P2")
    np.testing.assert_array_equal(cohort.features.column("size_WT_ml"), [8, 5])
    assert any(note.startswith("1 further case of patients with several left out") for note in notes)


def test_without_volumes_the_first_case_counts():
    cohort, _ = build_cohort(features("P1_b", "P1_a"), [record("P1")], **SMALL)
    np.testing.assert_array_equal(cohort.features.values[:, -1], [0])


def test_of_a_patient_s_time_points_the_earliest_counts_even_if_a_later_tumour_is_larger():
    table = features("BraTS-GLI-00005-002", "BraTS-GLI-00005-000", size_WT_ml=[9, 2])
    cohort, _ = build_cohort(table, [record("BraTS-GLI-00005")], **SMALL)
    np.testing.assert_array_equal(cohort.features.column("size_WT_ml"), [2])
    by_scan = [record("BraTS-GLI-00005-002", 50), record("BraTS-GLI-00005-000", 80)]
    cohort, _ = build_cohort(table, by_scan, **SMALL)
    assert cohort.features.patients == ("BraTS-GLI-00005-000",) and cohort.days.tolist() == [80]


def test_a_later_scan_never_borrows_the_survival_of_the_first():
    records = [record("UPENN-GBM-00036_11", 300), record("UPENN-GBM-00036_21", None, None)]
    with pytest.raises(UserError, match="There are 0 patients with known survival"):
        build_cohort(
            features("UPENN-GBM-00036_21"), records, patients={"UPENN-GBM-00036_21": "UPENN-GBM-00036"}, **SMALL
        )
    cohort, _ = build_cohort(features("UPENN-GBM-00036_21", "UPENN-GBM-00036_11"), records, **SMALL)
    assert cohort.features.patients == ("UPENN-GBM-00036_11",) and cohort.features.values[0, -1] == 1


def test_the_caller_says_whose_cases_they_are():
    table = features("scan7", "scan8", "scan9", size_WT_ml=[1, 2, 3])
    patients = {"scan7": "anna", "scan8": "anna", "scan9": "bert"}
    cohort, _ = build_cohort(table, [record("bert"), record("anna")], patients=patients, **SMALL)
    assert cohort.features.patients == ("anna", "bert")
    np.testing.assert_array_equal(cohort.features.column("size_WT_ml"), [2, 3])
    by_scan = [record(name) for name in table.patients]
    cohort, _ = build_cohort(table, by_scan, patients=patients, **SMALL)
    assert cohort.features.patients == ("scan8", "scan9")


def test_nothing_to_join_shows_an_id_of_each_side():
    for build in (build_cohort, build_features):
        with pytest.raises(UserError, match="the features have ids like 'left_1', the clinical table like 'right_1'"):
            build(features("left_1"), [record("right_1")])


@pytest.mark.parametrize(("patients", "deaths"), [(19, 19), (20, 9)])
def test_too_few_to_learn_from(patients, deaths):
    records = [record(f"p{i}", died=i < deaths) for i in range(patients)]
    with pytest.raises(
        UserError, match=f"There are {patients} patients with known survival, of whom {deaths} died.*20.*10"
    ):
        build_cohort(None, [*records, record("z", None)])
    assert len(build_cohort(None, records, least_patients=patients, least_deaths=deaths)[0]) == patients
    enough = [record(f"p{i}", died=i < 10) for i in range(20)]
    assert len(build_cohort(None, enough)[0]) == 20


def test_features_with_clinical_columns_of_their_own_are_refused():
    with pytest.raises(UserError, match="has the column clinical_age"):
        build_features(features("a", clinical_age=[3]), [record("a")])


def test_patients_to_predict_have_the_columns_of_the_cohort():
    table = features("a_1", "a_2", "x")
    records = [record("a", age_years=60)]
    to_predict = build_features(table, records)
    cohort, _ = build_cohort(table, records, **SMALL)
    assert to_predict.names == cohort.features.names and to_predict.patients == table.patients
    np.testing.assert_array_equal(to_predict.column("clinical_age"), [60, 60, np.nan])
    assert np.isnan(build_features(table, []).values[:, : len(CLINICAL_FEATURES)]).all()
    assert build_features(None, [replace(records[0], survival_days=None)]).patients == ("a",)


def test_the_order_of_the_records_does_not_matter():
    rng = np.random.default_rng(4)
    records = [record(f"P{i:03}", float(rng.integers(1, 999)), bool(rng.integers(2))) for i in range(30)]
    table = features(*(f"p_{i}" for i in range(30)))
    table = replace(table, patients=tuple(f"P{i}_t1" for i in rng.permutation(30)))
    cohort, _ = build_cohort(table, records, **SMALL)
    shuffled, _ = build_cohort(table, [records[i] for i in rng.permutation(30)], **SMALL)
    assert cohort.features.patients == shuffled.features.patients
    np.testing.assert_array_equal(cohort.days, shuffled.days)
    by_id = {it.patient: it for it in records}
    assert [by_id[name].survival_days for name in cohort.features.patients] == cohort.days.tolist()


@pytest.mark.realdata
def test_real_cohorts(realdata: Path):
    tables = realdata / "survival_tables"
    ucsf, _ = build_cohort(None, read_clinical(realdata / "ucsf_pdgm" / "clinical.csv").records)
    assert (len(ucsf), int(ucsf.died.sum())) == (391, 198)
    assert not np.isnan(ucsf.features.column("clinical_age")).any()
    brats, _ = build_cohort(
        None, read_clinical(realdata / "brats2020_labels" / "survival_info.csv").records, gtr_only=True
    )
    assert (len(brats), brats.censored) == (100, False)
    upenn, notes = build_cohort(None, read_clinical(tables / "upenn_gbm.csv").records)
    assert len(upenn) == 452 and all(name.endswith("_11") for name in upenn.features.patients)
    assert "178 patients left out: survival is not known" in notes  # of 630; 60 rows are second scans
    alive, _ = build_cohort(None, read_clinical(tables / "brats2019.csv").records)
    assert (len(alive), int(alive.died.sum()), alive.censored) == (60, 58, True)
    with pytest.raises(UserError, match="There are 0 patients"):
        build_cohort(None, read_clinical(tables / "name_mapping.csv").records)


def test_columns_that_tell_the_outcome_are_left_out_whatever_they_are_called():
    rng = np.random.default_rng(0)
    days, died = rng.uniform(10, 900, 40).round(), rng.random(40) < 0.7
    records = [
        ClinicalRecord(f"p{number}", age_years=float(rng.uniform(30, 80)), survival_days=float(day), died=bool(dead))
        for number, (day, dead) in enumerate(zip(days, died))
    ]
    honest = rng.normal(size=40)
    columns = {"honest": honest, "x1": np.sqrt(days), "x2": -days, "x3": 1.0 * died, "x4": 2.0 - died}
    table = FeatureTable(
        tuple(f"p{number}" for number in range(40)), tuple(columns), np.column_stack([*columns.values()])
    )
    cohort, notes = build_cohort(table, records)
    assert "honest" in cohort.features.names and not {"x1", "x2", "x3", "x4"} & set(cohort.features.names)
    assert any("x1, x2, x3, x4" in note for note in notes)
