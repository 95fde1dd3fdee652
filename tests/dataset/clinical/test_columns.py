"""Which header is what, and the user's own word on it."""

from __future__ import annotations

import pytest

from autobrats.dataset.clinical.column_map import parse_column_map
from autobrats.dataset.clinical.columns import ROLES, TEXT_NAMES, clinical_name, is_alias, role_of
from autobrats.dataset.clinical.record import VALUES
from autobrats.errors import UserError


def test_every_value_of_a_record_has_a_role_and_the_patient_has_one():
    assert set(ROLES) == {"patient", *VALUES}


@pytest.mark.parametrize(
    ("header", "role", "unit"),
    [
        ("Age", "age_years", None),
        ("Age_at_scan_years", "age_years", "years"),
        ("Age at MRI", "age_years", None),
        ("Age (days)", "age_years", "days"),
        ("Survival", "survival_days", None),
        ("Survival_days", "survival_days", "days"),
        ("Survival_from_surgery_days", "survival_days", "days"),
        ("OS", "survival_days", None),
        ("OS_MONTHS", "survival_days", "months"),
        ("Overall Survival (Months)", "survival_days", "months"),
        ("ResectionStatus", "resection", None),
        ("Extent_of_Resection", "resection", None),
        ("GTR_over90percent", "resection", None),
        ("1-dead 0-alive", "died", None),
        ("OS_STATUS", "died", None),
        ("censored", "died", None),
        ("1p/19q", "codeleted_1p19q", None),
        ("IDH1", "idh_mutated", None),
        ("MGMT status", "mgmt_methylated", None),
        ("WHO CNS Grade", "grade", None),
        ("Gender", "male", None),
    ],
)
def test_known_headers(header, role, unit):
    found = role_of(header)
    assert found is not None and (found[0].name, found[1]) == (role, unit)


@pytest.mark.parametrize(
    "header",
    [
        *("Ln(days)", "Standarlize", "MGMT index", "BraTS21 MGMT Cohort", "Biopsy prior to imaging", "PsP_TP_score"),
        *("Time_since_baseline_preop", "Final pathologic diagnosis (WHO 2021)", "days", "PFS", "Grade_months", ""),
    ],
)
def test_headers_that_only_look_like_it(header):
    assert role_of(header) is None


def test_ids_of_collections_are_aliases():
    headers = ["BraTS21 ID", "BraTS_2019_subject_ID", "TCGA_TCIA_subject_ID", "case", "Brats17ID"]
    assert all(map(is_alias, headers))
    assert not any(map(is_alias, ["BraTS21 Segmentation Cohort", "ID", "Age", "idh"]))


def test_a_dataset_s_texts_keep_headers_that_give_values_their_meaning():
    assert clinical_name("Age at MRI") == "age" and clinical_name("Survival") == "survival_days"
    for header in ("OS_MONTHS", "GTR_over90percent", "1-dead 0-alive", "male", "my note"):
        assert clinical_name(header) not in TEXT_NAMES
    for name in TEXT_NAMES - {"died"}:
        assert clinical_name(name) == name


def test_the_column_map():
    words = ["age_years=Age at MRI", "survival_days = OS:months", "died=-", "patient=a=b"]
    assert parse_column_map(words) == {
        "age_years": "Age at MRI",
        "survival_days": "OS:months",
        "died": "-",
        "patient": "a=b",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["age_years"], "ROLE=HEADER"),
        (["age_years="], "ROLE=HEADER"),
        (["age=Age"], "no role 'age'; roles are patient, age_years, male"),
        (["kps=A", "kps=B"], "names kps twice: A and B"),
    ],
)
def test_a_wrong_column_map(words, message):
    with pytest.raises(UserError, match=message):
        parse_column_map(words)


def test_mapped_columns_win_and_say_their_unit(read_text):
    text = "who;when;OS: final;OS;status\na;24,5;2;99;1\n"
    (record,) = read_text(
        text, patient="who", age_years="when:months", survival_days="OS: final:weeks", died="status:alive"
    ).records
    assert (record.patient, record.survival_days, record.died) == ("a", 14, False)
    assert record.age_years == pytest.approx(24.5 / 12)


def test_a_header_with_a_colon_is_found_as_it_is(read_text):
    assert read_text("id,OS:days\na,5\n", survival_days="OS:days").records[0].survival_days == 5


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"age_years": "Years"}, "no column 'Years'; its columns are id, Age, OS"),
        ({"survival_days": "OS:fortnights"}, "units of survival_days are days, weeks, months, years"),
        ({"kps": "OS:days"}, "kps has no units"),
        ({"height": "OS"}, "no role 'height'"),
    ],
)
def test_a_column_map_that_does_not_fit(read_text, columns, message):
    with pytest.raises(UserError, match=message):
        read_text("id,Age,OS\na,5,6\n", **columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Age,OS\n5,6\n", "no column of patients' ids; its columns are Age, OS"),
        ("id,height\na,6\n", "no clinical column that is known; its columns are id, height"),
        ("id,OS,Survival\na,5,6\n", "2 columns that could be survival_days: OS, Survival; say which"),
        ("id,OS_months,OS_days\na,5,6\n", "could be survival_days: OS_months, OS_days"),
        ("id,Age,Age\na,5,6\n", "could be age_years: Age, Age"),
        ("patient,subject,Age\na,b,6\n", "could be patient: patient, subject"),
        ("id,Age\n,6\n", "names no patient in 'id'"),
        ("", "is empty"),
    ],
)
def test_tables_that_cannot_be_read(read_text, text, message):
    with pytest.raises(UserError, match=message):
        read_text(text)


def test_an_ambiguity_is_settled_by_the_map_or_by_none(read_text):
    text = "id,Age,OS,Survival\na,40,5,6\n"
    assert read_text(text, survival_days="Survival").records[0].survival_days == 6
    assert read_text(text, survival_days="-").records[0].survival_days is None


def test_a_spreadsheet_or_a_folder_is_refused(tmp_path):
    from autobrats.dataset.clinical.reading import read_clinical

    for name, message in (("a.xlsx", "save it as CSV"), ("gone.csv", "does not exist"), (".", "cannot be read")):
        with pytest.raises(UserError, match=message):
            read_clinical(tmp_path / name)
