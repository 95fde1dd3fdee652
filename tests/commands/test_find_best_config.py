"""autobrats_find_best_config on small finished runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from finished_runs import BRATS, finish_run, write_workspace

from autobrats.commands.find_best_config import main


def test_the_better_configuration_becomes_the_model(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_workspace(workspace, ("3d_fullres", "3d_fullres_paper"))
    for fold in range(5):
        finish_run(folder, "3d_fullres", fold, 0.8, missing_t1c=0.5)
        finish_run(folder, "3d_fullres_paper", fold, 0.9)
    assert main([]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    table = [line.split()[0] for line in lines if line.startswith("3d_fullres") and "(" in line and "/" in line]
    assert table == ["3d_fullres_paper", "3d_fullres"]
    assert "Chosen: 3d_fullres_paper, folds 0-4." in output and "nested over the choice" in output
    assert "missing" not in output
    assert f"autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m {folder.model}" in output
    best = json.loads((folder.model / "best_config.json").read_text())
    assert [(member["configuration"], str(member["fold"])) for member in best["members"]] == [
        ("3d_fullres_paper", str(fold)) for fold in range(5)
    ]
    for member in best["members"]:
        source = folder.run("3d_fullres_paper", member["fold"]) / "weights.safetensors"
        assert (folder.model / member["weights"]).read_bytes() == source.read_bytes()
    metrics = json.loads((folder.model / "metrics.json").read_text())
    assert metrics["configuration"] == "3d_fullres_paper" and len(metrics["cases"]) == 20
    assert (
        best["expected"]["mean_dice"]["low"]
        < best["expected"]["mean_dice"]["mean"]
        < best["expected"]["mean_dice"]["high"]
    )
    assert set(best["expected"]["regions"]) == set(BRATS.regions)


def test_two_folds_of_five_work_with_a_note(
    workspace: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_workspace(workspace)
    for fold in (0, 1):
        finish_run(folder, "3d_fullres", fold, missing_t1c=0.5)
    monkeypatch.chdir(workspace.parent)
    assert main([]) == 0
    output = capsys.readouterr().out
    assert "folds 2, 3, 4 are missing" in output
    assert "  autobrats_train 3d_fullres 2 3 4" in output.splitlines()
    assert "Chosen: 3d_fullres, folds 0, 1." in output
    assert "t1c -0.300" in output
    assert "-m workspace/gliomas/model" in output
    best = json.loads((folder.model / "best_config.json").read_text())
    assert len(best["members"]) == 2 and best["missing_modality_dice"]["t1c"] == 0.5


def test_nothing_trained_says_which_command_trains(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_workspace(workspace)
    assert main(["-d", "gliomas"]) == 2
    error = capsys.readouterr().err
    assert (
        "No fold of 3d_fullres is finished yet" in error and "autobrats_train 3d_fullres 0 1 2 3 4 -d gliomas" in error
    )
    assert not folder.model.exists()


def test_only_fold_all_makes_a_model_without_promises(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_workspace(workspace)
    finish_run(folder, "3d_fullres", "all")
    assert main([]) == 0
    output = capsys.readouterr().out
    assert "there is no validation" in output and "Expected" not in output
    assert json.loads((folder.model / "best_config.json").read_text())["members"][0]["fold"] == "all"


def test_called_again_the_model_is_replaced(workspace: Path) -> None:
    folder = write_workspace(workspace)
    finish_run(folder, "3d_fullres", 0)
    assert main([]) == 0
    finish_run(folder, "3d_fullres", 1)
    assert main([]) == 0
    members = json.loads((folder.model / "best_config.json").read_text())["members"]
    assert len(members) == 2
    assert len(list((folder.model / "weights").iterdir())) == 2
    assert {path.name for path in folder.path.iterdir() if "model" in path.name} == {"model"}


def test_an_unknown_configuration_is_wrong_use(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    write_workspace(workspace)
    assert main(["2d"]) == 2
    assert "no configuration '2d'" in capsys.readouterr().err


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autobrats.commands.find_best_config import new_find_best_config_parser as parser;"
        "parser().format_help(); print(sorted({'torch', 'numpy', 'SimpleITK', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
