"""The tables as they come: every count was taken from the file by other means, on the command line or below."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.combining import combine_tables
from autobrats.dataset.clinical.ids import match_ids
from autobrats.dataset.clinical.reading import read_clinical

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def tables(realdata: Path) -> Path:
    return realdata / "survival_tables"


def plain_rows(file: Path) -> list[dict[str, str]]:
    """The rows as Python's csv module gives them."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def told(table: ClinicalTable, kind: str) -> dict[str, int]:
    """How many values the findings of a kind concern, by column."""
    return {finding.column: finding.count for finding in table.findings if finding.kind == kind}


def check_numbers(table: ClinicalTable, rows: list[dict[str, str]], identity: str, age: str, survival: str) -> None:
    """Every record has the age and the days that stand in its row."""
    assert [record.patient for record in table.records] == [row[identity] for row in rows]
    for record, row in zip(table.records, rows, strict=True):
        assert record.age_years == float(row[age])
        days = re.findall(r"\d+", row[survival])
        assert record.survival_days == (float(days[0]) if days else None)


def test_brats_2017(tables):
    table = read_clinical(tables / "brats2017.csv")
    check_numbers(table, plain_rows(tables / "brats2017.csv"), "Brats17ID", "Age", "Survival")
    assert len(table.records) == 59 and all(record.died for record in table.records)


def test_brats_2018_edited_by_hand(tables):
    table = read_clinical(tables / "brats2018_edited_by_hand.csv")
    lines = (tables / "brats2018_edited_by_hand.csv").read_text().splitlines()[1:]
    cells = [line.split(",")[:4] for line in lines]
    assert [[it.patient, it.age_years, it.survival_days, it.resection] for it in table.records] == [
        [name, float(age), float(days), None if resection == "NA" else resection]
        for name, age, days, resection in cells
    ]
    assert len(cells) == 59 and Counter(it.resection for it in table.records) == {"GTR": 18, "STR": 11, None: 30}
    warnings = [(it.kind, it.count, it.patients) for it in table.findings if it.severity == "warning"]
    assert warnings == [("ignored", 136, ()), ("ignored", 2, ("Brats18_CBICA_AWI_1", "Brats18_TCIA02_322_1"))]
    assert "Standarlize, Ln(days)" in next(it.message for it in table.findings if "not known as clinical" in it.message)


def test_brats_2019_has_two_who_were_alive(tables):
    table = read_clinical(tables / "brats2019.csv")
    check_numbers(table, plain_rows(tables / "brats2019.csv"), "BraTS19ID", "Age", "Survival")
    censored = {it.patient: it.survival_days for it in table.records if it.died is False}
    assert censored == {"BraTS19_CBICA_BFB_1": 361, "BraTS19_CBICA_BFP_1": 1029}
    assert sum(it.died is True for it in table.records) == 58
    assert Counter(it.resection for it in table.records) == {"GTR": 59, "STR": 1}


def test_brats_2020(realdata):
    file = realdata / "brats2020_labels" / "survival_info.csv"
    table = read_clinical(file)
    check_numbers(table, plain_rows(file), "Brats20ID", "Age", "Survival_days")
    assert len(table.records) == 195 and all(record.died for record in table.records)
    assert Counter(it.resection for it in table.records) == {"GTR": 100, "STR": 8, None: 87}
    masks = [path.name for path in (realdata / "brats2020_labels").glob("*_seg.nii.gz")]
    found = match_ids(masks, table.records)
    assert len(masks) == 305 and len({it.patient for it in found.values()}) == len(found) == 194
    assert {it.patient for it in table.records} - {it.patient for it in found.values()} == {"BraTS20_Training_355"}
    assert all(name.startswith(record.patient + "_") for name, record in found.items())


def test_upenn(tables):
    table = read_clinical(tables / "upenn_gbm.csv")
    check_numbers(table, plain_rows(tables / "upenn_gbm.csv"), "ID", "Age_at_scan_years", "Survival_from_surgery_days")
    records = table.records
    assert table.title.startswith("upenn_gbm.csv: 630 patients at 671 time points, 452 with survival")
    assert Counter(it.male for it in records) == {True: 404, False: 267}
    assert Counter(it.idh_mutated for it in records) == {False: 546, True: 19, None: 106}
    assert Counter(it.mgmt_methylated for it in records) == {False: 170, True: 121, None: 348 + 32}
    assert Counter(it.resection for it in records) == {"GTR": 362, "STR": 211, None: 60 + 38}
    assert sum(it.kps is not None for it in records) == 75
    assert told(table, "missing")["Survival_from_surgery_days"] == 219
    found = match_ids(["UPENN-GBM-00036", "UPENN-GBM-00036_21"], records)
    assert [found[name].patient[-3:] for name in found] == ["_11", "_21"]


def test_ucsf(realdata):
    file = realdata / "ucsf_pdgm" / "clinical.csv"
    table, rows = read_clinical(file), plain_rows(file)
    check_numbers(table, rows, "ID", "Age at MRI", "OS")
    records = table.records
    assert [it.died for it in records] == [row["1-dead 0-alive"] == "1" for row in rows]
    assert Counter(it.died for it in records) == {True: 198, False: 193}
    assert [it.grade for it in records] == [int(row["WHO CNS Grade"]) for row in rows]
    assert [it.resection for it in records] == [row["EOR"] for row in rows]
    assert [it.idh_mutated for it in records] == [
        "IDH-mutant" in row["Final pathologic diagnosis (WHO 2021)"] for row in rows
    ]
    assert Counter(it.mgmt_methylated for it in records) == {True: 230, False: 96, None: 65}
    assert Counter(it.codeleted_1p19q for it in records) == {True: 7, False: 314, None: 70}
    assert told(table, "missing") == {"MGMT status": 65, "1p/19q": 70}
    assert sum(len(it.aliases) for it in records) == 234
    images = {row["Image"]: row["ID"] for row in plain_rows(realdata / "ucsf_pdgm" / "radiomics_t1c.csv")}
    found = match_ids(list(images), records)
    assert {image: record.patient for image, record in found.items()} == images and len(images) == 391
    assert match_ids(["BraTS2021_00002"], records)["BraTS2021_00002"].patient == "UCSF-PDGM-014"


def test_grades_by_any_year_s_name(tables):
    mapping = read_clinical(tables / "name_mapping.csv")
    assert Counter(it.grade for it in mapping.records) == {4: 259, 2: 76}
    assert sum(len(it.ids) for it in mapping.records) == 285 + 285 + 167 + 335
    for year, identity in ((2017, "Brats17ID"), (2019, "BraTS19ID")):
        rows = plain_rows(tables / f"brats{year}.csv")
        survival = read_clinical(tables / f"brats{year}.csv")
        graded = combine_tables([survival, mapping])
        grade_of = {
            row[f"BraTS_{year}_subject_ID"]: {"HGG": 4, "LGG": 2}[row["Grade"]]
            for row in plain_rows(tables / "name_mapping.csv")
        }
        with_survival = [it for it in graded.records if it.has_survival]
        assert {it.patient: it.grade for it in with_survival} == {
            row[identity]: grade_of.get(row[identity]) for row in rows
        }


def test_two_years_agree_on_the_patients_they_share(tables):
    """2017 and 2019 name different hospitals' patients; 2018 and 2019 share some, with ages rounded differently."""
    read = [
        read_clinical(tables / name) for name in ("brats2019.csv", "brats2018_edited_by_hand.csv", "name_mapping.csv")
    ]
    both = combine_tables([read[2], read[0], read[1]])
    by_18 = {
        row["BraTS_2018_subject_ID"]: row["BraTS_2019_subject_ID"] for row in plain_rows(tables / "name_mapping.csv")
    }
    shared = {by_18.get(it.patient) for it in read[1].records} & {it.patient for it in read[0].records}
    assert len(shared) == 16
    assert sum(it.has_survival for it in both.records) == 59 + 60 - len(shared)
    assert not [it for it in both.findings if it.kind == "contradiction"]
    assert all(math.isfinite(it.survival_days or 0) for it in both.records)
