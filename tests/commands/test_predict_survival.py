"""autobrats_predict --survival: masks and survival in one pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bright_model import write_bright_model, write_study
from survival_tables import check_predictions, rows_of, write_survival_model

from autobrats.commands.predict import main
from autobrats.commands.survival_predict import main as survival_predict
from autobrats.files import write_csv

COLUMNS = ("clinical_age", "size_WT_ml", "ET_t1c_firstorder_Mean")
NAMES = ["BraTS2021_90000", "BraTS2021_90001"]


@pytest.fixture
def model(tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_bright_model(tmp_path / "model", monkeypatch, folds=(0,))


@pytest.fixture
def survival_model(workspace: Path) -> Path:
    """In the workspace, where it is found by itself."""
    return write_survival_model(workspace / "survival", COLUMNS)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write_study(tmp_path / "new" / name, seed=number)
    write_csv(tmp_path / "ages.csv", ["ID", "Age"], [[name, 50 + 20 * n] for n, name in enumerate(NAMES)])
    return tmp_path / "new"


def predict(studies: Path, model: Path, *arguments: object) -> int:
    quick = ("--device", "cpu", "--backend", "torch", "--no-mirroring", "--workers", "0")
    return main([str(it) for it in ("-i", studies, "-o", studies.parent / "out", "-m", model, *quick, *arguments)])


def test_one_pass_gives_what_two_give(model, survival_model, studies, tmp_path, capsys) -> None:
    ages, out = tmp_path / "ages.csv", tmp_path / "out"
    assert predict(studies, model, "--survival", "--clinical", ages) == 0
    assert f"survival of 2 patients: {out / 'survival.csv'}" in capsys.readouterr().out
    rows = check_predictions(out / "survival.csv")
    assert [row["patient"] for row in rows] == NAMES
    masks = tmp_path / "masks"
    masks.mkdir()
    for mask in out.glob("*.nii.gz"):
        shutil.copy(mask, masks)
    arguments = ["-i", studies, "-s", masks, "--clinical", ages, "-o", tmp_path / "two.csv", "--workers", "0"]
    assert survival_predict([str(it) for it in arguments]) == 0
    assert (tmp_path / "two.csv").read_bytes() == (out / "survival.csv").read_bytes()


def test_ages_may_lie_beside_the_studies(model, survival_model, studies, tmp_path, capsys) -> None:
    assert predict(studies, model, "--survival", "--clinical", tmp_path / "ages.csv") == 0
    first = (tmp_path / "out" / "survival.csv").read_bytes()
    write_csv(
        studies / "cases.csv", ["case", "patient", "age"], [[name, name, 50 + 20 * n] for n, name in enumerate(NAMES)]
    )
    assert predict(studies, model, "--survival", "--continue") == 0
    assert "0 studies to predict (2 already done)" in capsys.readouterr().out
    assert (tmp_path / "out" / "survival.csv").read_bytes() == first


def test_without_ages_they_are_filled_in_and_that_is_said(model, survival_model, studies, tmp_path, capsys) -> None:
    assert predict(studies, model, "--survival") == 0
    assert "clinical_age is not known for 2 of 2 patients" in capsys.readouterr().err
    assert len(check_predictions(tmp_path / "out" / "survival.csv")) == 2


def test_a_study_that_failed_has_no_survival(model, survival_model, studies, tmp_path) -> None:
    broken = studies / NAMES[0] / f"{NAMES[0]}_t2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    assert predict(studies, model, "--survival", "--clinical", tmp_path / "ages.csv") == 1
    assert [row["patient"] for row in rows_of(tmp_path / "out" / "survival.csv")] == NAMES[1:]
    assert [row["case"] for row in rows_of(tmp_path / "out" / "failures.csv")] == NAMES[:1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--clinical", "AGES"], "--clinical and --survival-model are for survival; add --survival."),
        (["--survival-model", "SURVIVAL"], "add --survival."),
        (["--survival", "--clinical", "missing.csv"], "missing.csv does not exist"),
        (["--survival", "--clinical", "OTHERS"], "No patient of the features is in the clinical table"),
        (["--survival", "--clinical", "SELF"], "would be overwritten; choose another output folder"),
        (["--survival", "--survival-model", "nowhere"], "nowhere holds no survival model"),
        (["--survival", "--survival-model", "TABLE"], "The model reads load, which is not given"),
    ],
)
def test_wrong_use_is_said_before_anything_is_segmented(
    model, survival_model, studies, tmp_path, capsys, arguments: list[str], said: str
) -> None:
    write_csv(tmp_path / "others.csv", ["ID", "Age"], [["X1", 60]])
    (tmp_path / "out").mkdir()
    shutil.copy(tmp_path / "ages.csv", tmp_path / "out" / "survival.csv")
    places = {
        "AGES": tmp_path / "ages.csv",
        "OTHERS": tmp_path / "others.csv",
        "SELF": tmp_path / "out" / "survival.csv",
        "SURVIVAL": survival_model,
        "TABLE": write_survival_model(tmp_path / "table", ("clinical_age", "load"), "table"),
    }
    assert predict(studies, model, *(places.get(word, word) for word in arguments)) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["survival.csv"]


def test_without_a_survival_model_it_is_said_at_once(model, studies, tmp_path, capsys) -> None:
    assert predict(studies, model, "--survival") == 2
    assert (
        "holds no survival model; run autobrats_survival_train, or name one with --survival-model."
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
