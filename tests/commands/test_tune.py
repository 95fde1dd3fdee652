"""autobrats_tune: an ensemble of the workspace, label maps of anybody, and wrong combinations of options."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from predicted_runs import Quality, copy_planned, finish_run, finish_runs
from tuning.made_up_source import BRATS, SPACING_MM, noisy, sharp, with_specks, without_grades

from autobrats.commands.tune import main
from autobrats.files import read_json
from autobrats.tuning.search_space import UNCHANGED
from autobrats.workspace import DatasetFolder

PLAIN, PAPER = "3d_fullres", "3d_fullres_paper"


def write_label_maps(folder: Path, source) -> list[str]:
    """Predictions and references of a source as files; arguments for the command."""
    z, y, x = SPACING_MM
    affine = np.diag([-x, -y, z, 1.0])
    for number, case in enumerate(without_grades(source).cases.values()):
        labels = {"references": case.reference, "predictions": BRATS.to_labels(case.variants[UNCHANGED] > 0)}
        for side, voxels in labels.items():
            (folder / side).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine)
            nibabel.save(image, folder / side / f"BraTS2021_{number:05d}.nii.gz")
    return ["-p", str(folder / "predictions"), "-r", str(folder / "references")]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _told(row: dict[str, str]) -> dict[str, str]:
    """What is said of a trial; a column that only later trials need is empty."""
    return {name: value for name, value in row.items() if value}


def test_the_best_ensemble_of_the_workspace_is_tuned_for_and_gone_on_with(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN, PAPER))
    finish_runs(folder, {PLAIN: Quality(blind="left", false_et=9), PAPER: Quality(blind="right", false_et=9)})
    arguments = ["--max-hours", "0.05", "--workers", "0", "--device", "cpu"]
    assert main([*arguments, "--trials", "8"]) == 0
    output = capsys.readouterr().out
    assert f"Tuned for {PLAIN} + {PAPER}." in output and "Tuned postprocessing is applied" in output
    assert output.splitlines()[-1] == "Next: autobrats_find_best_config"
    written = folder.tuning / "postprocessing"
    trials = rows_of(written / "trials.csv")
    assert [row["trial"] for row in trials] == [str(number) for number in range(8)]
    assert not any(value for name, value in trials[0].items() if "." in name)  # trial 0 is the default
    result = read_json(written / "result.json")
    assert result["applied"] and result["trials"] == 8 and result["sentence"] in output
    assert result["postprocessing"][-1]["name"] == "region_rules"
    assert not folder.model.exists()  # a model is written by autobrats_find_best_config

    assert main([*arguments, "--trials", "10", "-d", "tiny", PLAIN, PAPER]) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == f"Next: autobrats_find_best_config {PLAIN} {PAPER} -d tiny"
    further = rows_of(written / "trials.csv")
    assert len(further) == 10 and list(map(_told, further[:8])) == list(map(_told, trials))


def test_label_maps_that_anybody_predicted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = write_label_maps(tmp_path, with_specks(noisy(9)))
    arguments += ["-o", str(tmp_path / "tuned"), "--workers", "0"]
    assert main([*arguments, "--trials", "8"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("9 pairs; convention brats") and "Tuned postprocessing is applied" in output
    assert (
        f"All trials: {tmp_path / 'tuned' / 'trials.csv'}; the result: {tmp_path / 'tuned' / 'result.json'}" in output
    )
    result = read_json(tmp_path / "tuned" / "result.json")
    assert result["applied"] and result["nested_gain"]["dice"]["low"] > 0
    (part,) = result["postprocessing"]
    assert part["name"] == "region_rules" and not any("threshold" in rule for rule in part["options"]["rules"].values())

    assert main([*arguments, "--trials", "10", "--pareto", "--objective", "dice"]) == 0
    output = capsys.readouterr().out
    assert "The Pareto front of Dice and HD95 (on all cases, not nested)" in output
    assert {row["on_pareto_front"] for row in rows_of(tmp_path / "tuned" / "trials.csv")} == {"0", "1"}


def test_nothing_to_gain_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = write_label_maps(tmp_path, sharp(8))
    assert main([*arguments, "-o", str(tmp_path / "tuned"), "--workers", "0", "--trials", "7"]) == 0
    assert "No postprocessing was better than none in 7 trials; none is applied." in capsys.readouterr().out
    assert read_json(tmp_path / "tuned" / "result.json")["postprocessing"] == []


def test_too_few_pairs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = write_label_maps(tmp_path, noisy(3))
    assert main([*arguments, "-o", str(tmp_path / "tuned"), "--workers", "0"]) == 2
    assert "cannot be tuned on 3 patients: at least 8 are needed" in capsys.readouterr().err


def test_too_few_patients_of_the_workspace(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN,))
    finish_run(folder, PLAIN, 0)
    assert main(["--trials", "2", "--workers", "0", "--device", "cpu"]) == 2
    told = capsys.readouterr()
    assert "at least 8 are needed" in told.out and "nothing to tune on" in told.err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-p", "a"], "-p PREDICTIONS, -r REFERENCES and -o FOLDER together"),
        (["-p", "a", "-r", "b"], "-p PREDICTIONS, -r REFERENCES and -o FOLDER together"),
        (["-r", "b", "-o", "c"], "-p PREDICTIONS, -r REFERENCES and -o FOLDER together"),
        (["-p", "a", "-r", "b", "-o", "c", "3d_fullres"], "either configurations of the workspace, or label maps"),
        (
            ["-p", "a", "-r", "b", "-o", "c", "--hard-mining", "x"],
            "either configurations of the workspace, or label maps",
        ),
        (["-p", "a", "-r", "b", "-o", "c", "--trials", "0"], "--trials must be at least 1"),
        (["-o", "c"], "-o and --convention belong to label maps"),
        (["--convention", "brats2021"], "-o and --convention belong to label maps"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--hard-mining", "3d_fullres", "3d_fullres"], "--hard-mining names its configuration itself"),
        (["-p", "nowhere", "-r", "nowhere", "-o", "c"], "nowhere"),
        (["2d"], "no configuration '2d'"),
        (["--hard-mining", "2d"], "no configuration '2d'"),
        ([], "No fold of 3d_fullres is finished yet"),
        (["--objective", "iou"], "--objective"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(
    arguments: list[str],
    message: str,
    planned: DatasetFolder,
    workspace: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_planned(planned, workspace, (PLAIN,))
    monkeypatch.chdir(workspace)
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    error = capsys.readouterr().err
    assert code == 2 and message in error and "Traceback" not in error


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autobrats.commands.tune import new_tune_parser as parser; parser().format_help();"
        "print(sorted({'torch', 'numpy', 'SimpleITK', 'pydantic', 'rich', 'optuna', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
