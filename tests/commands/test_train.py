"""autobrats_train from the shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_dataset import write_tiny_workspace

from autobrats.commands.train import main
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


def test_a_fold_is_trained_and_its_scores_are_told(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    arguments = ["3d_fullres", "0", "--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("Training 3d_fullres of tiny on ")
    assert "Fold 0 finished in" in told and "Dice on the held-back cases" in told
    for word in ("WT", "TC", "ET", "mean", "Next: autobrats_find_best_config"):
        assert word in told
    assert main(arguments) == 0
    assert "Fold 0 was finished already (--restart trains it anew)." in capsys.readouterr().out


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
