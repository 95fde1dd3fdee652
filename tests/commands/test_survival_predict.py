"""autobrats_survival_predict from the outside: every kind of input, what is written, messages, exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from survival.study_files import write_studies
from survival_tables import check_predictions, rows_of, write_survival_model

from autobrats.commands.survival_predict import main
from autobrats.files import write_csv
from autobrats.survival.extraction import extract_features
from autobrats.survival.feature_files import write_features
from autobrats.survival.radiomics.feature_sets import PUBLISHED_SETS
from autobrats.survival.survival_cases import cases_of_folders
from autobrats.survival.survival_inputs import Sources
from autobrats.survival.survival_predictor import SurvivalPredictor

IMAGE_COLUMNS = ("clinical_age", "size_WT_ml", "WT_shape_Sphericity", "ET_t1c_firstorder_Mean")
NUMBER = 3


def predict(*arguments: object) -> int:
    return main([*map(str, arguments), "--workers", "0"])


@pytest.fixture
def studies(tmp_path: Path, workspace: Path) -> Path:
    """A folder of studies with masks; ages.csv lies beside it."""
    names = write_studies(tmp_path / "studies", NUMBER)
    write_csv(tmp_path / "ages.csv", ["ID", "Age"], [[name, 50 + 5 * number] for number, name in enumerate(names)])
    return tmp_path / "studies"


@pytest.fixture
def ages(studies: Path) -> Path:
    return studies.parent / "ages.csv"


def move_masks(studies: Path, folder: Path) -> Path:
    folder.mkdir()
    for mask in studies.rglob("*_seg.nii.gz"):
        mask.rename(folder / mask.name.replace("_seg", ""))
    return folder


def test_studies_segmentations_and_ready_features_give_the_same(studies: Path, ages: Path, tmp_path: Path) -> None:
    """Of images, only the sets of features that the model needs are computed."""
    model = write_survival_model(tmp_path / "model", IMAGE_COLUMNS)
    found = extract_features(cases_of_folders(studies).cases, radiomics=PUBLISHED_SETS, workers=0)
    write_features(tmp_path / "features.csv", found.features, found.notes)
    common = ("--clinical", ages, "-m", model)
    assert predict("-i", studies, *common, "-o", tmp_path / "own_masks.csv") == 0
    assert predict("--features", tmp_path / "features.csv", *common, "-o", tmp_path / "ready.csv") == 0
    masks = move_masks(studies, tmp_path / "masks")
    assert predict("-i", studies, "-s", masks, *common, "-o", tmp_path / "new" / "folder.csv") == 0
    rows = check_predictions(tmp_path / "own_masks.csv")
    assert [row["patient"] for row in rows] == [f"BraTS2021_{number:05d}" for number in range(NUMBER)]
    assert len({row["risk"] for row in rows}) == NUMBER
    for other in (tmp_path / "ready.csv", tmp_path / "new" / "folder.csv"):
        assert other.read_bytes() == (tmp_path / "own_masks.csv").read_bytes()


def test_masks_without_images_are_enough_for_sizes(studies: Path, ages: Path, tmp_path: Path) -> None:
    model = write_survival_model(tmp_path / "model", IMAGE_COLUMNS[:3])
    masks = move_masks(studies, tmp_path / "masks")
    for extra, name in ((["-i", studies], "both"), ([], "alone")):
        assert predict("-s", masks, *extra, "--clinical", ages, "-m", model, "-o", tmp_path / f"{name}.csv") == 0
    assert (tmp_path / "both.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_clinical_data_alone(ages: Path, tmp_path: Path, capsys) -> None:
    model = write_survival_model(tmp_path / "model", ("clinical_age",), "clinical")
    assert predict("--clinical", ages, "-m", model, "-o", tmp_path / "out.csv") == 0
    rows = check_predictions(tmp_path / "out.csv")
    risks = [float(row["risk"]) for row in rows]
    assert risks == sorted(risks) and risks[0] < risks[-1]  # the model was made so that age shortens life
    assert f"{NUMBER} patients: {tmp_path / 'out.csv'}" in capsys.readouterr().out


def test_curves_and_explanations(ages: Path, tmp_path: Path) -> None:
    model = write_survival_model(tmp_path / "model", ("clinical_age",), "clinical")
    arguments = ("--clinical", ages, "-m", model, "-o", tmp_path / "out.csv")
    assert predict(*arguments, "--curves", tmp_path / "curves.csv", "--explain", tmp_path / "why.csv") == 0
    for row in rows_of(tmp_path / "curves.csv"):
        curve = [float(value) for name, value in row.items() if name != "patient"]
        assert list(row)[1:3] == ["30", "60"] and len(curve) == 60
        assert all(np.diff(curve) <= 0) and 0 <= curve[-1] <= curve[0] <= 1
    why = rows_of(tmp_path / "why.csv")
    assert [row["feature"] for row in why] == ["clinical_age"] * NUMBER
    # Of one feature, the effect is the whole difference of the risk from that of the median patient.
    effects = [float(row["effect_on_risk"]) for row in why]
    risks = [float(row["risk"]) for row in rows_of(tmp_path / "out.csv")]
    assert np.diff(effects) == pytest.approx(np.diff(risks), rel=1e-4)


def test_from_python_as_from_the_shell(ages: Path, tmp_path: Path) -> None:
    model = write_survival_model(tmp_path / "model", ("clinical_age",), "clinical")
    assert predict("--clinical", ages, "-m", model, "-o", tmp_path / "shell.csv") == 0
    predicted = SurvivalPredictor.load(model).predict_sources(Sources(clinical=[ages]))
    predicted.write(tmp_path / "python.csv")
    assert (tmp_path / "python.csv").read_bytes() == (tmp_path / "shell.csv").read_bytes()
    assert predicted.predictions[0].patient == "BraTS2021_00000"


def test_a_bad_study_does_not_stop_the_others(studies: Path, ages: Path, tmp_path: Path, capsys) -> None:
    model = write_survival_model(tmp_path / "model", IMAGE_COLUMNS)
    broken = studies / "BraTS2021_00001" / "BraTS2021_00001_t1ce.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    assert predict("-i", studies, "--clinical", ages, "-m", model, "-o", tmp_path / "out.csv") == 1
    assert [row["patient"][-1] for row in check_predictions(tmp_path / "out.csv")] == ["0", "2"]
    assert "BraTS2021_00001: left out: " in capsys.readouterr().err


def test_what_is_not_known_is_said(studies: Path, ages: Path, tmp_path: Path, capsys) -> None:
    model = write_survival_model(tmp_path / "model", IMAGE_COLUMNS)
    (studies / "BraTS2021_00001" / "BraTS2021_00001_t1ce.nii.gz").unlink()
    ages.write_text("".join(ages.read_text().splitlines(keepends=True)[:2]))
    assert predict("-i", studies, "--clinical", ages, "-m", model, "-o", tmp_path / "out.csv") == 0
    told = capsys.readouterr().err
    assert "clinical_age is not known for 2 of 3 patients (the first is BraTS2021_00001)" in told
    assert "ET_t1c_firstorder_Mean is not known for BraTS2021_00001; it was filled in as in training." in told
    assert len(check_predictions(tmp_path / "out.csv")) == NUMBER


def test_a_patients_record_is_found_by_the_patient(studies: Path, ages: Path, tmp_path: Path, capsys) -> None:
    """A table of studies says whose each is; the clinical table knows patients only."""
    model = write_survival_model(tmp_path / "model", ("clinical_age", "size_WT_ml"))
    spellings = {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair", "mask": "seg"}
    names = [f"BraTS2021_{number:05d}" for number in range(NUMBER)]
    rows = [
        [name, f"someone_{number}", *(studies / name / f"{name}_{it}.nii.gz" for it in spellings.values())]
        for number, name in enumerate(names)
    ]
    write_csv(tmp_path / "studies.csv", ["case", "patient", *spellings], rows)
    write_csv(tmp_path / "patients.csv", ["ID", "Age"], [[f"someone_{n}", 50 + 5 * n] for n in range(NUMBER)])
    common = ("-m", model, "-o")
    assert (
        predict("-i", tmp_path / "studies.csv", "--clinical", tmp_path / "patients.csv", *common, tmp_path / "a.csv")
        == 0
    )
    assert "not known" not in capsys.readouterr().err
    assert predict("-i", studies, "--clinical", ages, *common, tmp_path / "b.csv") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_the_workspaces_model_is_found(ages: Path, workspace: Path, tmp_path: Path, capsys) -> None:
    arguments = ("--clinical", ages, "-o", tmp_path / "out.csv")
    assert predict(*arguments) == 2
    assert "holds no survival model; run autobrats_survival_train" in capsys.readouterr().err
    write_survival_model(workspace / "survival", ("clinical_age",), "clinical")
    assert predict(*arguments) == 0
    assert f"model: {workspace / 'survival'}" in capsys.readouterr().out
    (workspace / "glioma").mkdir()
    (workspace / "glioma" / "dataset.json").write_text("{}")
    write_survival_model(workspace / "glioma" / "survival", ("clinical_age",), "clinical", seed=1)
    assert predict(*arguments) == 2
    assert "There are several survival models" in capsys.readouterr().err
    assert predict(*arguments, "-d", "glioma") == 0
    assert f"model: {workspace / 'glioma' / 'survival'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "STUDIES", "--features", "TABLE"], "not both"),
        (["--features", "missing.csv"], "missing.csv does not exist"),
        (["--clinical", "missing.csv"], "missing.csv does not exist"),
        (["-i", "missing"], "missing does not exist"),
        (["-i", "STUDIES", "--clinical", "OTHERS"], "No patient of the features is in the clinical table"),
        ([], "There are no patients"),
        (["--clinical", "AGES"], "The model reads size_WT_ml and 2 more, which are not given; give segmentations"),
        (["--features", "TABLE", "--clinical", "AGES"], "The model reads size_WT_ml and 2 more, which are not given"),
        (["-s", "MASKS", "--clinical", "AGES"], "The model reads ET_t1c_firstorder_Mean, which is not given"),
        (["-i", "STUDIES", "-m", "TABLE_MODEL"], "The model reads load, which is not given; give a table like"),
        (["-i", "STUDIES", "-m", "nowhere"], "nowhere holds no survival model"),
        (["-i", "STUDIES", "-m", "DAMAGED"], "is damaged, or of another model"),
        (["-i", "STUDIES", "-m", "HALF"], "features.json does not exist"),
        (["-i", "STUDIES", "--convention", "brats1999"], "brats1999"),
        (["--columns", "age_years=Age"], "give the table with --clinical"),
        (["-i", "STUDIES", "-o", "STUDIES"], "is a folder; name a file"),
        (["-i", "STUDIES", "-o", "BELOW"], "Nothing can be written into"),
        (["-i", "STUDIES", "--clinical", "AGES", "-o", "AGES"], "would be overwritten"),
        (["-i", "STUDIES", "--curves", "OUT"], "written twice"),
    ],
)
def test_wrong_use_is_one_sentence_and_code_2(
    studies: Path, ages: Path, tmp_path: Path, capsys, arguments: list[str], said: str
) -> None:
    model = write_survival_model(tmp_path / "model", IMAGE_COLUMNS)
    shutil.copytree(model, tmp_path / "damaged")
    with open(tmp_path / "damaged" / "model.skops", "ab") as file:
        file.write(b"more")
    shutil.copytree(model, tmp_path / "half")
    (tmp_path / "half" / "features.json").unlink()
    write_csv(tmp_path / "others.csv", ["ID", "Age"], [["X1", 60]])
    write_csv(tmp_path / "table.csv", ["ID", "load"], [[f"BraTS2021_{n:05d}", n] for n in range(NUMBER)])
    (tmp_path / "masks").mkdir()
    for mask in studies.rglob("*_seg.nii.gz"):
        shutil.copy(mask, tmp_path / "masks" / mask.name)
    places = {
        "STUDIES": studies,
        "AGES": ages,
        "OTHERS": tmp_path / "others.csv",
        "TABLE": tmp_path / "table.csv",
        "MASKS": tmp_path / "masks",
        "TABLE_MODEL": write_survival_model(tmp_path / "table_model", ("clinical_age", "load"), "table"),
        "DAMAGED": tmp_path / "damaged",
        "HALF": tmp_path / "half",
        "BELOW": ages / "out.csv",
        "OUT": tmp_path / "out.csv",
    }
    before = sorted(tmp_path.rglob("*")), ages.read_bytes()
    given = [places.get(word, word) for word in arguments]
    assert predict("-m", model, "-o", tmp_path / "out.csv", *given) == 2
    error = capsys.readouterr().err.splitlines()
    assert said in error[-1] and sum("autobrats_survival_predict: " in line for line in error) == 1
    assert (sorted(tmp_path.rglob("*")), ages.read_bytes()) == before
