"""autobrats_export and autobrats_import: what they say, and that a model goes from one workspace to another machine."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bright_model import write_bright_model
from finished_runs import finish_run, write_workspace

from autobrats.commands.export_model import main as export_main
from autobrats.commands.import_model import main as import_main
from autobrats.evaluation.metrics_file import pool_metrics, read_metrics
from autobrats.files import read_model
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from autobrats.plan import Plan


@pytest.fixture
def found(workspace: Path) -> Path:
    """A dataset of the workspace with a model of two folds."""
    folder = write_workspace(workspace)
    runs = [finish_run(folder, "3d_fullres", fold) for fold in (0, 1)]
    metrics = pool_metrics([read_metrics(run.metrics_file) for run in runs])
    scores = metrics.model_dump(mode="json")
    write_model_folder(
        folder.model,
        read_model(folder.plan_file, Plan),
        [TrainedNetwork("3d_fullres", fold, run.weights_file) for fold, run in enumerate(runs)],
        expected={"mean_dice": scores["mean_dice"], "regions": scores["summary"]},
        metrics=metrics,
        missing_modality_dice={"complete": 0.8, "t1n": 0.79, "t1c": 0.5},
    )
    return folder.model


def test_the_model_of_the_workspace_goes_to_another_machine(
    found: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export_main(["-o", "sent/glioma model.zip"]) == 0
    said = capsys.readouterr().out
    assert "0.0 MiB" in said and "2 networks: 3d_fullres fold 0, 3d_fullres fold 1" in said
    assert "Left out: the scores case by case" in said and said.endswith("  autobrats_import 'glioma model.zip'\n")
    assert b"case_0" not in Path("sent/glioma model.zip").read_bytes()

    assert import_main(["sent/glioma model.zip"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("glioma model: a model of the dataset 'gliomas' by autobrats ")
    assert (
        "It sees: t1n, t1c, t2w, t2f. Mean Dice changes when one is missing: t1n -0.010, t1c -0.300 (from 0.800)."
        in said
    )
    mean = json.loads((found / "best_config.json").read_text())["expected"]["mean_dice"]["mean"]
    assert f"mean {mean:.3f} (" in said
    assert said.endswith("  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m 'glioma model'\n")
    assert sorted(path.name for path in Path("glioma model").iterdir()) == ["best_config.json", "plan.json", "weights"]


def test_with_cases_says_that_names_are_inside(found: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    archive, folder = str(tmp_path / "model.zip"), tmp_path / "copy"
    assert export_main([str(found), "-o", archive, "--with-cases"]) == 0
    assert "names and scores of all training cases and patients" in capsys.readouterr().out
    assert import_main([archive, "-o", str(folder)]) == 0
    assert (folder / "metrics.json").read_bytes() == (found / "metrics.json").read_bytes()


def test_nothing_is_replaced_without_force(found: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    archive, folder = str(tmp_path / "model.zip"), str(tmp_path / "copy")
    assert export_main(["-o", archive]) == 0 and import_main([archive, "-o", folder]) == 0
    assert export_main(["-o", archive]) == 2 and import_main([archive, "-o", folder]) == 2
    error = capsys.readouterr().err
    assert error.count("--force") == 2 and error.count("\n") == 2
    assert export_main(["-o", archive, "--force"]) == 0 and import_main([archive, "-o", folder, "--force"]) == 0


def test_wrong_use_is_said_in_a_line(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_workspace(workspace)
    assert export_main(["-o", str(tmp_path / "model.zip")]) == 2
    assert "no model folder yet; run autobrats_find_best_config" in capsys.readouterr().err
    assert export_main([str(tmp_path), "-o", str(tmp_path / "model.zip")]) == 2
    assert "is not a model folder" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.py", "print('evil')")
    assert import_main([str(tmp_path / "evil.zip"), "-o", str(tmp_path / "a" / "b")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("autobrats_import: ") and "'../evil.py' does not belong to a model" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.zip", "workspace"]


def test_an_unknown_form_of_expected_scores_does_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, expected in enumerate(
        ({}, {"mean_dice": "good"}, {"regions": [1]}, {"mean_dice": {"n": 1, "mean": 0.8}, "regions": {"WT": {}}})
    ):
        model = write_bright_model(tmp_path / str(number), monkeypatch, expected=expected)
        archive = str(tmp_path / f"{number}.zip")
        assert export_main([str(model), "-o", archive]) == 0
        capsys.readouterr()
        assert import_main([archive, "-o", str(tmp_path / f"copy_{number}")]) == 0
        said = capsys.readouterr().out
        assert ("not measured" in said) != ("mean 0.800" in said) and ("mean 0.800" in said) == (number == 3)


def test_the_package_that_the_other_machine_needs_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "their_nets-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-nets\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[autobrats.network]\nbright = bright_model:Bright\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = write_bright_model(tmp_path / "model", monkeypatch)
    assert export_main([str(model), "-o", str(tmp_path / "model.zip")]) == 0
    assert "needs the package their-nets 1.0, which is not inside: network 'bright'" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["export_model", "import_model"])
def test_help_has_examples_and_loads_nothing_heavy(command: str) -> None:
    code = (
        f"import sys; from autobrats.commands.{command} import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'SimpleITK', 'pydantic', 'rich', 'optuna'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith("[]\n") and "examples:" in said
