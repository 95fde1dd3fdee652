"""Several configurations and folds: failures that others survive, going on, and trainings in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from training_runs import CPU, At, stop

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.plan import Part, Plan
from autobrats.training.campaign import Campaign, Task, devices_of
from autobrats.training.checkpoints import load_facts
from autobrats.training.child_jobs import ChildJob
from autobrats.training.cross_validation import CrossValidation, TrainingOptions, train_folds
from autobrats.training.fold import start_trainer
from autobrats.training.pausing import Pause
from autobrats.training.progress_table import FoldRow
from autobrats.training.watching import read_progress
from autobrats.workspace import DatasetFolder

DEVICE = torch.device("cpu")
ONE_EPOCH = replace(CPU, epochs=1)


def no_child(task: Task, device: torch.device, hours: float | None) -> list[str]:
    raise AssertionError("one at a time needs no process of its own")


def campaign(
    folder: DatasetFolder,
    *tasks: Task,
    options: TrainingOptions = ONE_EPOCH,
    jobs: int = 1,
    command: Callable = no_child,
) -> Campaign:
    return Campaign(CrossValidation(folder, options), tasks, [DEVICE] * jobs, command)


def states(rows: list[FoldRow]) -> list[tuple[str, str, str]]:
    return [(row.name, row.fold, row.state) for row in rows]


def add_configuration(folder: DatasetFolder, name: str, **changes: object) -> None:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations[name] = plan.configurations["3d_fullres"].model_copy(update=changes)
    write_json(folder.plan_file, plan)


def test_a_failure_is_told_and_the_others_go_on(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    add_configuration(tiny, "3d_broken", loss=Part(name="dice_cross_entropy", options={"smoth": 1}))
    tasks = [Task("3d_broken", "0"), Task("3d_fullres", "0"), Task("3d_fullres", "1")]
    first = campaign(tiny, *tasks)
    rows = first.run()
    assert [row.state for row in rows] == ["failed", "finished", "finished"]
    assert "no option 'smoth'" in rows[0].reason
    first.table.print()
    told = capsys.readouterr().out
    assert "3d_fullres fold 1: training." in told and "3d_fullres fold 1 finished in" in told
    table = told[told.index("configuration") :].splitlines()
    assert table[0].split() == ["configuration", "fold", "state", "iterations", "minutes", "mean", "Dice"]
    assert table[2].split()[:3] == ["3d_broken", "0", "failed"] and table[3].split()[:6] == [
        "3d_fullres", "0", "finished", "3", "of", "3",
    ]  # fmt: skip
    assert table[5].startswith("3d_broken fold 0: failed: ")

    add_configuration(tiny, "3d_broken")  # mended
    again = campaign(tiny, *tasks).run()
    assert [row.state for row in again] == ["finished", "was finished", "was finished"]
    assert again[1].dice == rows[1].dice is not None


def test_the_only_task_raises_its_error(tiny: DatasetFolder) -> None:
    add_configuration(tiny, "3d_broken", loss=Part(name="dice_cross_entropy", options={"smoth": 1}))
    with pytest.raises(UserError, match="no option 'smoth'"):
        campaign(tiny, Task("3d_broken", "0")).run()
    with pytest.raises(UserError, match="no fold '7'"):
        campaign(tiny, Task("3d_fullres", "0"), Task("3d_fullres", "7")).run()
    assert not tiny.run("3d_fullres", 0).exists()


def test_a_stop_ends_the_campaign_and_shows_how_far_it_was(tiny: DatasetFolder, hook_in: Callable) -> None:
    tasks = [Task("3d_fullres", "0"), Task("3d_fullres", "1")]
    hook_in(At(2, stop))
    rows = campaign(tiny, *tasks).run()
    assert [row.state for row in rows] == ["stopped", "waiting"]
    assert rows[0].cells()[3] == "2 of 3" and rows[1].cells()[3] is None
    hook_in(None)
    again = campaign(tiny, *tasks)
    assert again.table.rows[0].cells()[2:4] == ["waiting", "2 of 3"]
    assert [row.state for row in again.run()] == ["finished", "finished"]


def test_a_budget_is_shared_and_a_task_may_have_hours_of_its_own(tiny: DatasetFolder) -> None:
    given = {}

    class Recorded(CrossValidation):
        def train(self, name, fold, hours, hooks=(), shows_bar=True):  # type: ignore[no-untyped-def]
            given[fold] = hours
            return super().train(name, fold, hours, hooks, shows_bar)

    options = replace(ONE_EPOCH, max_hours=6.0)
    tasks = [Task("3d_fullres", "0", hours=1.5), Task("3d_fullres", "1"), Task("3d_fullres", "2")]
    Campaign(Recorded(tiny, options), tasks, [DEVICE], no_child).run()
    assert given == {"0": 1.5, "1": pytest.approx(3.0, abs=0.1), "2": pytest.approx(6.0, abs=0.1)}


def test_a_watched_training_says_how_far_it_is(tiny: DatasetFolder) -> None:
    training = campaign(tiny, Task("3d_fullres", "0"), Task("3d_fullres", "all"))
    training.run()
    for fold, state in (("0", "validating"), ("all", "training")):
        progress = read_progress(training.training.run("3d_fullres", fold))
        assert progress is not None and (progress.state, progress.iteration, progress.total_iterations) == (state, 3, 3)


# Pausing.


@pytest.mark.parametrize("shares", [(0.25, 0.5), (0.5,)])
def test_a_paused_training_that_goes_on_equals_an_unbroken_one(
    regions_dataset: DatasetFolder, copy_of: Callable, shares: tuple[float, ...]
) -> None:
    unbroken, paused = copy_of(regions_dataset), copy_of(regions_dataset)
    for folder in (unbroken, paused):
        plan = read_model(folder.plan_file, Plan)
        plan.configurations["3d_fullres"].hooks = [Part(name="quick_validation")]  # none that writes checkpoints
        write_json(folder.plan_file, plan)
    train_folds(unbroken, "3d_fullres", ["0"], CPU)
    training = CrossValidation(paused, CPU)
    for share in shares:
        for _ in range(2):  # asked again, it has nothing to do
            pause = Pause(share)
            trainer = start_trainer(training.job("3d_fullres", "0", None, [pause]))
            trainer.train()
            assert pause.is_due and trainer.iteration == -(-6 * share // 1)
    train_folds(paused, "3d_fullres", ["0"], CPU)
    runs = [CrossValidation(folder, CPU).run("3d_fullres", "0") for folder in (unbroken, paused)]
    one, other = runs
    assert load_facts(one.weights_file) == load_facts(other.weights_file)
    other.checkpoint_file.unlink(), one.checkpoint_file.unlink(missing_ok=True)
    assert one.weights_file.read_bytes() == other.weights_file.read_bytes()
    assert one.metrics_file.read_text() == other.metrics_file.read_text()


# Processes of their own.


def test_a_dead_child_is_told_with_its_signal(tiny: DatasetFolder) -> None:
    scripts = {
        "0": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "1": "import sys; print('autobrats_train: the disk is full.', file=sys.stderr); sys.exit(1)",
        "2": "import sys; sys.exit(130)",
        "all": "import sys; sys.exit(3)",
    }
    tasks = [Task("3d_fullres", fold) for fold in scripts]
    rows = campaign(tiny, *tasks, jobs=2, command=lambda task, *_: [sys.executable, "-c", scripts[task.fold]]).run()
    assert [row.state for row in rows] == ["failed", "failed", "stopped", "failed"]
    assert "its process was ended by SIGKILL (most likely out of memory)" in rows[0].reason
    assert rows[1].reason.startswith("the disk is full; its log is ") and rows[1].reason.endswith("train.log")
    assert "exit code 3" in rows[3].reason


def test_children_have_the_hours_of_their_round_and_a_device_each(tiny: DatasetFolder) -> None:
    asked: list[tuple[str, str, float | None]] = []

    def command(task: Task, device: torch.device, hours: float | None) -> list[str]:
        asked.append((task.fold, str(device), hours))
        return [sys.executable, "-c", "import sys; sys.exit(1)"]

    options = replace(CPU, max_hours=8.0)
    devices = [torch.device("cuda", 0), torch.device("cuda", 1)]
    tasks = [Task("3d_fullres", fold) for fold in ("0", "1", "2")]
    Campaign(CrossValidation(tiny, options), tasks, devices, command).run()
    assert [fold for fold, *_ in asked] == ["0", "1", "2"]
    assert [device for _, device, _ in asked[:2]] == ["cuda:0", "cuda:1"]
    assert [hours for *_, hours in asked] == pytest.approx([4.0, 4.0, 8.0], abs=0.1)  # the third is alone or nearly so


def test_devices() -> None:
    assert devices_of(DEVICE) == [DEVICE] and devices_of(DEVICE, 3) == [DEVICE] * 3
    one = torch.device("cuda:1")
    assert devices_of(one) == [one] and devices_of(one, 2) == [one, one]


ORPHAN = """
import sys, time, pathlib
from autobrats.training.child_jobs import end_with_parent
end_with_parent()
pathlib.Path(sys.argv[1]).write_text("begun")
try:
    time.sleep(120)
finally:
    pathlib.Path(sys.argv[2]).write_text("ended")
"""
PARENT = """
import signal, sys, time
from pathlib import Path
from autobrats.training.child_jobs import ChildJob
script = "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler)\\n" + sys.argv[1]
ChildJob([sys.executable, "-c", script, *sys.argv[2:4]], Path(sys.argv[4]), 1)
time.sleep(120)
"""


def test_no_child_is_left_behind_by_a_killed_parent(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, ORPHAN, str(begun), str(ended), str(tmp_path / "log")],
        cwd=Path(__file__).parents[2],
    )
    give_up = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    child.wait(timeout=60)
    assert ended.read_text() == "ended"


def test_a_child_that_is_asked_to_stop(tmp_path: Path) -> None:
    child = ChildJob([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 1)
    child.stop()
    while not child.has_ended:
        time.sleep(0.05)
    assert child.state == "stopped"
