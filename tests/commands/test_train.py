"""autobrats_train from the shell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_dataset import write_tiny_workspace

from autobrats.commands.train import main
from autobrats.files import read_model, write_json
from autobrats.plan import Part, Plan
from autobrats.training.checkpoints import load_facts, load_tensors
from autobrats.training.progress import Progress
from autobrats.workspace import DatasetFolder

ROOT = Path(__file__).parents[2]
SLOW_TRAINING = """
import sys, time
from autobrats.commands.train import main
from autobrats.training.trainer import Trainer
step = Trainer.step
Trainer.step = lambda self, batch: (step(self, batch), time.sleep(0.5))
sys.exit(main())
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return write_tiny_workspace(tmp_path_factory.mktemp("planned"))


@pytest.fixture
def tiny(planned: DatasetFolder, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFolder:
    monkeypatch.setattr(Progress, "_draw", lambda self, trainer: None)
    shutil.copytree(planned.path, workspace / "tiny")
    return DatasetFolder(workspace / "tiny")


def add_configuration(folder: DatasetFolder, name: str, **changes: Any) -> None:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations[name] = plan.configurations["3d_fullres"].model_copy(update=changes)
    write_json(folder.plan_file, plan)


def test_a_fold_is_trained_and_its_scores_are_told(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    arguments = ["3d_fullres", "0", "--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("Training 3d_fullres of tiny on ")
    assert "3d_fullres fold 0 finished in" in told and "Dice on the held-back cases" in told
    for word in ("WT", "TC", "ET", "mean", "Next: autobrats_find_best_config"):
        assert word in told
    assert main(arguments) == 0
    assert "3d_fullres fold 0 was finished already (--restart trains it anew)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["2d", "0"], "no configuration '2d'"),
        (["3d_fullres", "9"], "no fold '9'"),
        (["3d_fullres", "0", "-d", "other"], "no dataset 'other'; it has: tiny"),
        (["3d_fullres", "0", "--device", "abacus"], "abacus"),
    ],
)
def test_faults_are_one_sentence(
    tiny: DatasetFolder, capsys: pytest.CaptureFixture, arguments: list[str], told: str
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("autobrats_train: ") and told in error and error.count("\n") == 1


def test_a_terminated_training_goes_on_as_if_it_had_not_been(tiny: DatasetFolder, tmp_path: Path) -> None:
    unbroken = tmp_path / "unbroken"
    shutil.copytree(tiny.path, unbroken / "tiny")
    arguments = ["3d_fullres", "0", "--device", "cpu", "--epochs", "8"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TRAINING, *arguments],  # slow, so that the signal comes in its midst
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = tiny.run("3d_fullres", 0)
    give_up = time.monotonic() + 300
    while not (run / "history.jsonl").is_file() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert "stopped by SIGTERM" in told
    assert 3 <= load_facts(run / "checkpoint.safetensors")["iteration"] < 24
    assert not (run / "finished.json").exists()

    assert main(arguments) == 0
    assert main([*arguments, "-w", str(unbroken)]) == 0
    one = load_tensors(run / "weights.safetensors")
    other = load_tensors(unbroken / "tiny" / "runs" / "3d_fullres" / "fold_0" / "weights.safetensors")
    assert one[1] == other[1] and one[1]["iterations"] == 24
    assert all(torch.equal(one[0][name], other[0][name]) for name in other[0])


def test_without_folds_every_fold_is_trained_and_one_table_tells_of_all(
    tiny: DatasetFolder, capsys: pytest.CaptureFixture
) -> None:
    add_configuration(tiny, "3d_other")
    common = ["--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert main(["3d_other", "1", *common]) == 0
    capsys.readouterr()
    assert main(["all", *common]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Training every configuration of tiny on ")
    table = [line.split() for line in told.splitlines() if " of 3 " in line]
    assert [(row[0], row[1]) for row in table] == [(name, f) for name in ("3d_fullres", "3d_other") for f in "012"]
    assert [" ".join(row[2:-5]) for row in table] == ["finished"] * 4 + ["was finished", "finished"]
    assert "Scores on the held-back cases" in told and "Next: autobrats_find_best_config" in told
    assert main(["3d_fullres", *common]) == 0
    assert capsys.readouterr().out.count("3d_fullres fold 2 was finished already") == 1


def test_a_failure_beside_others_is_exit_code_1(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    add_configuration(tiny, "3d_broken", optimiser=Part(name="adamw", options={"learning_rat": 1}))
    assert main(["all", "0", "--device", "cpu", "--workers", "0", "--epochs", "1"]) == 1
    told = capsys.readouterr()
    assert "3d_fullres fold 0 finished" in told.out and "3d_broken fold 0: failed: " in told.out
    assert "learning_rat" in told.out and "1 of 2 folds failed; the same command goes on with them." in told.err


def test_two_at_once_equal_one_after_the_other(
    tiny: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(tiny.path, alone / "tiny")
    common = ["3d_fullres", "0", "1", "--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert main([*common, "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    assert "2 folds at a time" in told and "3d_fullres fold 1 finished in" in told
    assert main([*common, "-w", str(alone)]) == 0
    for fold in ("0", "1"):
        runs = [DatasetFolder(root / "tiny").run("3d_fullres", fold) for root in (tiny.path.parent, alone)]
        assert (runs[0] / "weights.safetensors").read_bytes() == (runs[1] / "weights.safetensors").read_bytes()
        assert (runs[0] / "validation" / "metrics.json").read_text() == (
            runs[1] / "validation" / "metrics.json"
        ).read_text()
        log = (runs[0] / "train.log").read_text()
        assert "Training 3d_fullres of tiny" in log and not (runs[1] / "train.log").exists()


def test_a_terminated_command_lets_its_children_write_their_checkpoints(tiny: DatasetFolder) -> None:
    arguments = ["3d_fullres", "0", "1", "--jobs", "2", "--epochs", "5000", "--device", "cpu", "--workers", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "autobrats.commands.train", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    runs = [tiny.run("3d_fullres", fold) for fold in (0, 1)]
    give_up = time.monotonic() + 300
    while not all((run / "history.jsonl").is_file() for run in runs) and time.monotonic() < give_up:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert told.count("is stopped.") == 2 and "write their checkpoints" in errors
    for run in runs:
        assert load_facts(run / "checkpoint.safetensors")["iteration"] >= 3
        assert "stopped by SIGTERM" in (run / "train.log").read_text() and not (run / "finished.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "auto needs --max-hours"),
        (["--max-hours", "1", "--epochs", "3"], "auto does not take --epochs: the race gives every configuration"),
        (["--max-hours", "1", "--pretrained", "model"], "auto does not take --pretrained"),
        (["--max-hours", "1", "--unlabelled", "studies"], "auto does not take --unlabelled"),
        (["0", "--max-hours", "1"], "auto trains every fold"),
        (["--max-hours", "1", "--race-fold", "7"], "no fold '7'"),
    ],
)
def test_what_auto_does_not_take(
    tiny: DatasetFolder, capsys: pytest.CaptureFixture, arguments: list[str], told: str
) -> None:
    add_configuration(tiny, "3d_other")
    assert main(["auto", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_race_and_all_folds_of_its_winner(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    frozen = Part(name="adamw", options={"learning_rate": 0.0})
    add_configuration(tiny, "3d_frozen", optimiser=frozen)
    arguments = ["auto", "--max-hours", "0.005", "--race-fold", "1", "--device", "cpu", "--workers", "0"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "2 configurations race on fold 1" in told and "The validation patients of fold 1 took part" in told
    race = json.loads(tiny.race_file.read_text())
    (winner,) = [name for name, it in race["configurations"].items() if it["state"] == "finalist"]
    (other,) = set(race["configurations"]) - {winner}
    assert race["fold"] == 1 and "left at rung 1 (25%)" in told
    assert all((tiny.run(winner, fold) / "finished.json").is_file() for fold in range(3))
    assert (tiny.run(other, 1) / "checkpoint.safetensors").is_file() and not tiny.run(other, 0).exists()
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("was finished already") == 3


def test_one_configuration_needs_no_race(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    assert main(["auto", "--max-hours", "0.003", "--device", "cpu", "--workers", "0"]) == 0
    told = capsys.readouterr().out
    assert "The plan has one configuration, 3d_fullres: there is nothing to choose" in told
    assert not tiny.race_file.exists() and (tiny.run("3d_fullres", 2) / "finished.json").is_file()
