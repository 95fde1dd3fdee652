"""cases.csv beside the cases, the challenge's tables, and a CSV as the dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.dataset.reading import read_dataset, read_studies
from autobrats.errors import UserError


@pytest.fixture
def folder(tmp_path, write_image, write_mask_file) -> Path:
    for case in ("A", "B"):
        for modality in ("t1ce", "flair"):
            write_image(tmp_path / case / f"{case}_{modality}.nii.gz")
        write_mask_file(tmp_path / case / f"{case}_seg.nii.gz")
    return tmp_path


def test_cases_csv(folder):
    (folder / "cases.csv").write_text("case;patient;Grade;Age;my note\nA;p1;HGG;61.5;\nC;p2;LGG;40;x\nB;p1;;;y z\n")
    dataset, faults = read_dataset(folder, name="x")
    a, b = dataset.cases
    assert a.patient == b.patient == "p1"
    assert a.clinical == {"grade": "HGG", "age": "61.5"} and b.clinical == {"my_note": "y z"}
    assert [(fault.case, fault.kind) for fault in faults if fault.case] == [("C", "unknown_case")]


@pytest.mark.parametrize(
    "text, message", [("name,patient\nA,p\n", "no column 'case'"), ("case,patient\nA,p\nA,q\n", "the case A twice")]
)
def test_a_wrong_cases_csv(folder, text, message):
    (folder / "cases.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_dataset(folder, name="x")


def test_the_tables_of_the_challenge(folder):
    (folder / "survival_info.csv").write_text(
        "Brats20ID,Age,Survival_days,Extent_of_Resection\nA,60.4,289,GTR\nB,52,,NA\n"
    )
    (folder / "name_mapping.csv").write_text("Grade,BraTS_2017_subject_ID,BraTS_2020_subject_ID\nHGG,x,A\nLGG,NA,B\n")
    a, b = read_dataset(folder, name="x")[0].cases
    assert a.clinical == {"grade": "HGG", "age": "60.4", "survival_days": "289", "extent_of_resection": "GTR"}
    assert b.clinical == {"grade": "LGG", "age": "52"}


def test_a_csv_is_a_dataset(folder):
    table = folder / "studies.csv"
    table.write_text(
        "case,patient,T1CE,Flair,mask,sex\n"
        "one,p,A/A_t1ce.nii.gz,A/A_flair.nii.gz,A/A_seg.nii.gz,f\n"
        "BraTS-GLI-00001-002,,B/B_t1ce.nii.gz,,B/B_seg.nii.gz,\n"
        "three,p,gone.nii.gz,B/B_flair.nii.gz,,m\n"
    )
    dataset, faults = read_dataset(table, name="x")
    assert dataset.layout == "csv" and dataset.modalities == ["t1c", "t2f"]
    one, two, three = dataset.cases
    assert one.images["t2f"].path == folder / "A" / "A_flair.nii.gz" and one.clinical == {"sex": "f"}
    assert (two.patient, two.timepoint) == ("BraTS-GLI-00001", "002") and list(two.images) == ["t1c"]
    assert {(fault.case, fault.kind) for fault in faults if fault.case} == {
        ("three", "missing_file"),
        ("three", "missing_mask"),
        ("three", "missing_modality"),
        ("BraTS-GLI-00001-002", "missing_modality"),
    }
    assert list(three.images) == ["t2f"]
    cases, _ = read_studies(table, ["t1c"])
    assert [case.name for case in cases] == ["one", "BraTS-GLI-00001-002"]


def test_a_modality_that_some_cases_lack_keeps_its_column(folder):
    table = folder / "studies.csv"
    image = "A/A_t1ce.nii.gz"
    table.write_text(f"case,t1c,t2f,site\nA,{image},NA,x\nB,{image},{image},NA\nC,{image},scan7,y\n")
    dataset, faults = read_dataset(table, name="table", masks="optional")
    assert dataset.modalities == ["t1c", "t2f"]
    assert [list(case.images) for case in dataset.cases] == [["t1c"], ["t1c", "t2f"], ["t1c"]]
    assert ("C", "missing_file") in {(fault.case, fault.kind) for fault in faults}


@pytest.mark.parametrize("name", ["site1/p01", "../p01", ".p01"])
def test_a_case_s_name_must_do_for_files(folder, name):
    (folder / "studies.csv").write_text(f"case,t1c\n{name},a.nii.gz\n")
    with pytest.raises(UserError, match=f"a case called '{name}'; a name is part of file names"):
        read_dataset(folder / "studies.csv", name="table")


def test_a_csv_without_images_or_with_a_case_twice(folder):
    table = folder / "studies.csv"
    table.write_text("case,age\na,3\n")
    with pytest.raises(UserError, match="holds no cases"):
        read_dataset(table, name="x")
    table.write_text("case,t1\na,A/A_t1ce.nii.gz\na,B/B_t1ce.nii.gz\n")
    with pytest.raises(UserError, match="the case a twice"):
        read_dataset(table, name="x")
