"""autobrats_find_best_config on small finished runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from predicted_runs import Quality, copy_planned, finish_run, finish_runs

from autobrats.commands.find_best_config import main
from autobrats.files import read_json, write_json
from autobrats.inference.model_folder import read_model_folder
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

PLAIN, PAPER = "3d_fullres", "3d_fullres_paper"
QUICK = ["--trials", "0", "--workers", "0", "--device", "cpu"]
TUNED = ["--trials", "10", "--max-hours", "0.05", "--workers", "0", "--device", "cpu"]


def members(folder: DatasetFolder) -> list[tuple[str, str]]:
    best = json.loads((folder.model / "best_config.json").read_text())
    return [(member["configuration"], str(member["fold"])) for member in best["members"]]


def test_the_better_configuration_becomes_the_model(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two is far better; of the other one a fold is missing."""
    folder = copy_planned(planned, workspace, (PLAIN, PAPER))
    finish_runs(folder, {PAPER: Quality(noise=0.1)})
    finish_runs(folder, {PLAIN: Quality(shift=-6.0, noise=0.1)}, folds=(0, 1))
    without = {"t1n": 0.79, "t1c": 0.5, "t2w": 0.78, "t2f": 0.6}
    missing = RunDirectory(folder.run(PAPER, 0)).missing_modalities_file
    write_json(missing, {"cases": 4, "complete": 0.8, "without": without})
    monkeypatch.chdir(workspace.parent)
    assert main(QUICK) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    table = [line.split()[0] for line in lines if line.startswith(PLAIN) and "(" in line and "/" in line]
    assert table == [PAPER, PLAIN]
    assert f"Chosen: {PAPER} ({PAPER} folds 0-2)." in output and "nested over the choice" in output
    assert f"{PAPER} is ahead of {PLAIN} by" in output and "Score against cost" in output
    assert "The worst cases, by Dice" in output and "t1c -0.300" in output
    assert f"{PLAIN}: fold 2 is missing; train with:" in lines and f"  autobrats_train {PLAIN} 2" in lines
    assert "Note: The configurations are compared on the" in output
    assert "  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m workspace/tiny/model" in lines
    assert lines[-1] == "Report: workspace/tiny/report.html" and folder.report_file.stat().st_size > 10_000
    assert members(folder) == [(PAPER, str(fold)) for fold in range(3)]
    model = read_model_folder(folder.model)
    for member in model.best_config.members:
        source = folder.run(PAPER, member.fold) / "weights.safetensors"
        assert model.weights(member).read_bytes() == source.read_bytes()
    metrics = read_json(folder.model / "metrics.json")
    assert metrics["configuration"] == PAPER and len(metrics["cases"]) == 11
    best = model.best_config
    mean = best.expected["mean_dice"]
    assert mean["low"] <= mean["mean"] <= mean["high"] and set(best.expected["regions"]) == {"WT", "TC", "ET"}
    assert best.best_single is not None and best.best_single["configuration"] == PAPER
    assert best.missing_modality_dice is not None and best.missing_modality_dice["t1c"] == 0.5
    assert best.cost is not None and best.cost.seconds_per_case > 0 and best.cost.device == "cpu"
    assert "GiB a study of the middle size on cpu (3 networks)" in output
    assert best.tuning is None and best.postprocessing == []


def test_an_ensemble_is_chosen_and_tuned_where_that_helps(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN, PAPER))
    finish_runs(folder, {PLAIN: Quality(blind="left", false_et=9), PAPER: Quality(blind="right", false_et=9)})
    assert main(TUNED) == 0
    output = capsys.readouterr().out
    assert f"Chosen: {PLAIN} + {PAPER} ({PLAIN} folds 0-2; {PAPER} folds 0-2)." in output
    assert "Tuned postprocessing, judged on patients that its choice did not see" in output
    assert "Tuned postprocessing is applied: on patients that it did not see it changes mean Dice by +" in output
    assert "and the default (on all cases, not nested)" in output and ", nested over the choice" in output
    assert sorted(members(folder)) == sorted((name, str(fold)) for name in (PLAIN, PAPER) for fold in range(3))
    best = read_model_folder(folder.model).best_config
    assert best.postprocessing[-1].name == "region_rules" and best.combination == "mean"
    assert best.tuning is not None and best.tuning.startswith("Tuned postprocessing is applied")
    assert (folder.tuning / "postprocessing" / "trials.csv").is_file()


def test_tuning_that_does_not_help_is_said_and_not_applied(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN,))
    finish_runs(folder, {PLAIN: Quality(exact=True, noise=0.1)})
    assert main(TUNED) == 0
    output = capsys.readouterr().out
    assert "No postprocessing was better than none in 10 trials; none is applied." in output
    best = read_model_folder(folder.model).best_config
    assert best.postprocessing == [] and best.tuning is not None and best.tuning in output


def test_a_model_of_fold_all_promises_nothing_and_is_replaced_later(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    """By one of the folds that are finished later; a run of another network is left out with a note."""
    folder = copy_planned(planned, workspace, (PLAIN,))
    finish_run(folder, PLAIN, "all")
    assert main([]) == 0
    output = capsys.readouterr().out
    assert "there is no validation" in output and "Expected" not in output and "Report" not in output
    assert members(folder) == [(PLAIN, "all")]

    finish_runs(folder, {PLAIN: Quality()})
    run = RunDirectory(folder.run(PLAIN, 2))
    manifest = run.read_manifest()
    manifest["configuration"]["network"]["options"]["blocks"] = [2, 2, 2]
    write_json(run.manifest_file, manifest)
    assert main([*QUICK, "--max-seconds-per-case", "0.000001"]) == 2
    assert "No model predicts a study in 1e-06 s; the fastest takes" in capsys.readouterr().err
    assert members(folder) == [(PLAIN, "all")]

    (costs,) = read_json(folder.tuning / "costs.json").values()
    limit = costs["preparing_seconds"] + costs["seconds"] + 0.001
    assert main([*QUICK, "--max-seconds-per-case", f"{limit:.4f}"]) == 0
    assert f"Note: {PLAIN} fold 2 was trained with another network" in capsys.readouterr().out
    assert len(members(folder)) == 1 and members(folder)[0][1] in "01"
    assert len(list((folder.model / "weights").iterdir())) == 1
    assert {path.name for path in folder.path.iterdir() if "model" in path.name} == {"model"}


def test_nothing_trained_says_which_command_trains(
    planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN,))
    assert main(["-d", "tiny"]) == 2
    error = capsys.readouterr().err
    assert f"No fold of {PLAIN} is finished yet" in error and f"autobrats_train {PLAIN} 0 1 2 -d tiny" in error
    assert not folder.model.exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["2d"], "no configuration '2d'"),
        (["--together"], "--together needs at least two configurations"),
        (["--max-seconds-per-case", "0"], "--max-seconds-per-case"),
        (["--trials", "-1"], "--trials"),
    ],
)
def test_wrong_use(
    arguments: list[str], message: str, planned: DatasetFolder, workspace: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = copy_planned(planned, workspace, (PLAIN,))
    finish_run(folder, PLAIN, 0)
    try:
        code = main([*arguments, "--device", "cpu"])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err and not folder.model.exists()


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autobrats.commands.find_best_config import new_find_best_config_parser as parser;"
        "parser().format_help();"
        "print(sorted({'torch', 'numpy', 'SimpleITK', 'pydantic', 'rich', 'optuna', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
