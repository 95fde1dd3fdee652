"""autobrats_predict from the outside: files, messages, exit codes."""

from __future__ import annotations

import csv

import nibabel
import numpy as np
import pytest
from bright_model import bright_mask, write_bright_model, write_study

from autobrats.commands.predict import main


@pytest.fixture
def model(tmp_path, monkeypatch):
    return write_bright_model(tmp_path / "model", monkeypatch, folds=(0,))


@pytest.fixture
def studies(tmp_path):
    for number in range(3):
        write_study(tmp_path / "new" / f"BraTS2021_9000{number}", seed=number)
    return tmp_path / "new"


def _predict(*arguments) -> int:
    return main([str(argument) for argument in (*arguments, "--device", "cpu", "--backend", "torch")])


def test_predicts_a_folder_of_studies(model, studies, tmp_path, capsys):
    assert _predict("-i", studies, "-o", tmp_path / "out", "-m", model) == 0
    for study in studies.iterdir():
        mask = nibabel.load(tmp_path / "out" / f"{study.name}.nii.gz")
        assert np.array_equal(np.asarray(mask.dataobj), bright_mask(study))
    assert len(list((tmp_path / "out").iterdir())) == 3
    said = capsys.readouterr().out
    assert "mirroring: 8 passes a window (--no-mirroring is about 8 times as fast)" in said
    assert "3/3 BraTS2021_90002" in said and "3 of 3 studies predicted" in said


def test_one_study_and_its_probabilities(model, studies, tmp_path):
    out = tmp_path / "out"
    arguments = ("-i", studies / "BraTS2021_90001", "-o", out, "-m", model, "--no-mirroring", "--save-probabilities")
    assert _predict(*arguments, "--workers", 0) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "BraTS2021_90001.nii.gz",
        "BraTS2021_90001_probabilities.nii.gz",
    ]


def test_a_bad_study_does_not_stop_the_others(model, studies, tmp_path, capsys):
    broken = studies / "BraTS2021_90001" / "BraTS2021_90001_t2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    out = tmp_path / "out"
    assert _predict("-i", studies, "-o", out, "-m", model, "--no-mirroring") == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "BraTS2021_90000.nii.gz",
        "BraTS2021_90002.nii.gz",
        "failures.csv",
    ]
    with open(out / "failures.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["BraTS2021_90001"] and "_t2.nii.gz" in rows[0]["reason"]
    said = capsys.readouterr()
    assert "Failed (1;" in said.err and "2 of 3 studies predicted" in said.out

    write_study(tmp_path / "again" / "BraTS2021_90001", seed=1)
    (tmp_path / "again" / "BraTS2021_90001" / "BraTS2021_90001_t2.nii.gz").replace(broken)
    kept = (out / "BraTS2021_90000.nii.gz").stat().st_mtime_ns
    assert _predict("-i", studies, "-o", out, "-m", model, "--no-mirroring", "--continue") == 0
    assert "1 study to predict (2 already done)" in capsys.readouterr().out
    assert (out / "BraTS2021_90000.nii.gz").stat().st_mtime_ns == kept
    assert not (out / "failures.csv").exists()


def test_inputs_are_never_overwritten(model, tmp_path, capsys):
    study = write_study(tmp_path / "new" / "BraTS2021_90001")
    table = tmp_path / "studies.csv"
    for spelling, path in (("t1", "t1"), ("t1ce", "t1ce"), ("t2", "t2")):
        (study / f"BraTS2021_90001_{spelling}.nii.gz").rename(tmp_path / f"{path}.nii.gz")
    (study / "BraTS2021_90001_flair.nii.gz").rename(tmp_path / "BraTS2021_90001.nii.gz")
    before = (tmp_path / "BraTS2021_90001.nii.gz").read_bytes()
    table.write_text(
        "case,patient,t1n,t1c,t2w,t2f\nBraTS2021_90001,1,t1.nii.gz,t1ce.nii.gz,t2.nii.gz,BraTS2021_90001.nii.gz\n"
    )
    assert _predict("-i", table, "-o", tmp_path, "-m", model) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert (tmp_path / "BraTS2021_90001.nii.gz").read_bytes() == before
    assert _predict("-i", table, "-o", tmp_path / "out", "-m", model, "--no-mirroring") == 0
    assert (tmp_path / "out" / "BraTS2021_90001.nii.gz").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-m", "nowhere"), "is not a model folder"),
        (("--overlap", "1.5"), "overlap"),
        (("--convention", "brats1999"), "There is no convention 'brats1999'"),
        (("--convention", "brats2024"), "does not know RC"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments, sentence, model, studies, tmp_path, capsys):
    assert _predict("-i", studies, "-o", tmp_path / "out", "-m", model, *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error


def test_without_a_model_the_workspace_is_looked_at(studies, tmp_path, workspace, capsys):
    assert _predict("-i", studies, "-o", tmp_path / "out") == 2
    assert "autobrats_plan" in capsys.readouterr().err
    (workspace / "glioma").mkdir(parents=True)
    (workspace / "glioma" / "dataset.json").write_text("{}")
    assert _predict("-i", studies, "-o", tmp_path / "out") == 2
    assert "run autobrats_find_best_config" in capsys.readouterr().err


def test_a_negative_number_of_workers_is_refused(model, studies, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        _predict("-i", studies, "-o", tmp_path / "out", "-m", model, "--workers", "-1")
    assert ended.value.code == 2
    assert "--workers: must be 0 or more, got -1" in capsys.readouterr().err


def test_files_that_are_not_needed_may_be_missing(model, studies, tmp_path, capsys):
    rows = [
        f"{study.name},{study.name}/{study.name}_t1ce.nii.gz,gone_{study.name}.nii.gz,gone_seg.nii.gz\n"
        for study in sorted(studies.iterdir())
    ]
    (studies / "table.csv").write_text("case,t1c,t2,mask\n" + "".join(rows))
    out = tmp_path / "out"
    assert _predict("-i", studies / "table.csv", "-o", out, "-m", model, "--no-mirroring") == 0
    assert len(list(out.glob("*.nii.gz"))) == 3 and not (out / "failures.csv").exists()
    told = capsys.readouterr()
    assert "3 of 3 studies predicted" in told.out and "BraTS2021_90000: table.csv names it" in told.err


def test_continue_asks_for_the_probabilities_as_well(model, studies, tmp_path, capsys):
    arguments = ("-i", studies, "-o", tmp_path / "out", "-m", model, "--no-mirroring", "--continue")
    assert _predict(*arguments) == 0
    assert _predict(*arguments, "--save-probabilities") == 0
    assert len(list((tmp_path / "out").glob("*_probabilities.nii.gz"))) == 3
    assert _predict(*arguments, "--save-probabilities") == 0
    assert "0 studies to predict (3 already done)" in capsys.readouterr().out


@pytest.mark.realdata
def test_real_studies_keep_their_geometry(realdata, model, tmp_path):
    for year in ("BraTS2018", "BraTS2023"):
        study = next(path for path in (realdata / "brats_full" / year).iterdir() if path.is_dir())
        assert _predict("-i", study, "-o", tmp_path / year, "-m", model, "--no-mirroring") == 0
        image = nibabel.load(next(path for path in sorted(study.iterdir()) if "seg" not in path.name))
        mask = nibabel.load(tmp_path / year / f"{study.name}.nii.gz")
        assert mask.shape == image.shape and mask.get_data_dtype() == np.uint8
        assert np.array_equal(mask.affine, image.affine)
        assert mask.header["qform_code"] == image.header["qform_code"]
        assert mask.header["sform_code"] == image.header["sform_code"]
        assert set(np.unique(mask.dataobj)) == ({0, 1, 2, 4} if year == "BraTS2018" else {0, 1, 2, 3})
