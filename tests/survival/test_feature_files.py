"""Tables of features: ours, pyradiomics', and what people make of them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from autobrats.errors import UserError
from autobrats.survival.feature_files import read_features, write_features
from autobrats.survival.feature_table import FeatureTable


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "features.csv"


def test_what_is_written_is_read_back_exactly(file: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4)) * [1e-12, 1, 1e6, 1e300]
    values[1, 2] = np.nan
    values[:, 3] = np.nan  # a modality that nobody has
    table = FeatureTable(("a", "b,c", "Ünal"), ("size_WT_ml", "WT_shape_Sphericity", "x", "y"), values)
    write_features(file, table, {"b,c": ["there is no ET", "t1n is missing"]})
    assert file.read_text(encoding="utf-8").splitlines()[2].endswith("there is no ET; t1n is missing")
    read = read_features(file)
    assert read.features.patients == table.patients
    assert read.features.names == table.names
    np.testing.assert_array_equal(read.features.values, values)
    assert read.notes == ["4 of 12 values are missing"]
    write_features(file, table)
    assert read_features(file).features.names == table.names


def test_columns_of_pyradiomics_are_left_out(file: Path) -> None:
    file.write_text(
        "Image,Mask,ID,diagnostics_Versions_Numpy,diagnostics_Image-original_Mean,original_glcm_Id,Comment\n"
        "x/p01.nii,wt.nii,p1,1.23,3.5,0.25,fine\n"
        "x/p02.nii,wt.nii,p2,1.23,4.5,0.5,\n"
    )
    read = read_features(file)
    assert read.features.patients == ("p1", "p2")
    assert read.features.names == ("original_glcm_Id",)
    assert read.features.column("original_glcm_Id").tolist() == [0.25, 0.5]
    assert read.notes == [
        "left out, because they are pyradiomics' diagnostics: 2 columns",
        "left out, because they hold text: Comment ('fine')",
    ]


@pytest.mark.parametrize(
    "heading", ["Patient", "patient_id", "ID", "Case", "subject-id", "Brats20ID", "BraTS_2020_subject_ID"]
)
def test_the_column_of_ids_is_found(file: Path, heading: str) -> None:
    file.write_text(f"1st,{heading},2nd\n1,007,3\n2,008,4\n")
    read = read_features(file).features
    assert read.patients == ("007", "008")
    assert read.names == ("1st", "2nd")


def test_an_unnamed_first_column_of_text_holds_the_ids(file: Path) -> None:
    file.write_text(",a,b\np1,1,2\np2,3,4\n")
    assert read_features(file).features.patients == ("p1", "p2")
    file.write_text("which,a,b\n1,1,2\n2,3,4\n")
    with pytest.raises(UserError, match=r"no column of the patients' names; call it 'patient'. It has which, a, b"):
        read_features(file)
    assert read_features(file, id_column="which").features.patients == ("1", "2")
    with pytest.raises(UserError, match="no column 'who'"):
        read_features(file, id_column="who")


def test_an_index_that_pandas_wrote_is_no_feature(file: Path) -> None:
    file.write_text("Unnamed: 0,id,a\n0,p1,3\n1,p2,5\n")
    assert read_features(file).features.names == ("a",)
    file.write_text(",id,a\n0,p1,3\n1,p2,5\n")
    assert read_features(file).features.names == ("a",)


def test_missing_values(file: Path) -> None:
    file.write_text("id,a,b\np1,1,NA\np2,,2\np3,nan,inf\np4,Not Available,-Inf\np5,4\n\n")
    table = read_features(file).features
    np.testing.assert_array_equal(table.column("a"), [1, np.nan, np.nan, np.nan, 4])
    np.testing.assert_array_equal(table.column("b"), [np.nan, 2, np.nan, np.nan, np.nan])


def test_constant_columns_stay(file: Path) -> None:
    file.write_text("id,a\np1,1\np2,1\n")
    assert read_features(file).features.names == ("a",)


@pytest.mark.parametrize(
    "name",
    [
        "OS",
        "Survival_days",
        "survival",
        "1-dead 0-alive",
        "Death",
        "Survival_Censor",
        "event",
        "Vital status",
        "PFS (months)",
    ],
)
def test_what_is_to_be_predicted_is_no_feature(file: Path, name: str) -> None:
    file.write_text(f"id,a,{name}\np1,1,300\np2,2,500\n")
    read = read_features(file)
    assert read.features.names == ("a",)
    assert read.notes == [f"left out, because they say how long the patient lived: {name}"]


def test_equal_rows_of_a_patient_are_one(file: Path) -> None:
    file.write_text("id,a,b\np1,1,\np2,2,3\np1,1.0,nan\n")
    read = read_features(file)
    assert read.features.patients == ("p1", "p2")
    assert "1 rows repeat another row of the same patient" in read.notes
    file.write_text("id,a\np1,1\np2,2\np1,3\n")
    with pytest.raises(UserError, match="two different rows of p1, the rows 1 and 3"):
        read_features(file)


def test_other_separators_and_a_decimal_comma(file: Path) -> None:
    file.write_text("\ufeffid;a;b\np1;0,5;1e3\np2;1,25;x\n", encoding="utf-8")
    read = read_features(file)
    assert read.features.column("a").tolist() == [0.5, 1.25]
    assert read.notes == ["left out, because they hold text: b ('x')"]
    file.write_bytes("id\ta\nM\xfcller\t2\n".encode("latin-1"))
    assert read_features(file).features.patients == ("Müller",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("id,a\n", "has no rows"),
        ("id,a\np1,x\n", "has no column of numbers beside id"),
        ("id\np1\n", "has no column of numbers beside id"),
        ("id,a\np1,1\n,2\n", "has no id in row 2"),
        ("id,a\np1,1,9\n", r"has 3 values for 2 columns in row 1 \(p1\)"),
        ("id,a,a\np1,1,2\n", "has the column a twice"),
        ("id,a,clinical_age\np1,1,2\n", "clinical_age"),
    ],
)
def test_a_faulty_table_is_refused_in_one_sentence(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_features(file)
    assert str(file) in str(error.value)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_features(tmp_path / "none.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_features(tmp_path)


def test_large_tables_are_read_fast(file: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 1000))
    table = FeatureTable(tuple(map(str, range(400))), tuple(f"feature {index}" for index in range(1000)), values)
    write_features(file, table)
    started = time.process_time()
    read = read_features(file).features
    assert time.process_time() - started < 2  # 0.3 on an idle core
    np.testing.assert_array_equal(read.values, values)


@pytest.mark.realdata
def test_the_table_of_ucsf(realdata: Path) -> None:
    read = read_features(realdata / "ucsf_pdgm" / "radiomics_t1c.csv")
    assert read.features.values.shape == (391, 100)
    assert read.features.patients[0] == "UCSF-PDGM-004"  # the Image column says UCSF-PDGM-0004
    assert all(name.startswith("original_") for name in read.features.names)
    assert {"shape", "first_order", "texture"} == set(read.features.families)
    assert read.features.column("original_shape_VoxelVolume")[0] == 41919
    assert np.isfinite(read.features.values).all()
