"""The course of a training: resuming, losses that are not a number, the rate, what is recorded."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
import torch
from training_runs import At, assert_same_weights, edit_plan, history, run_of, stop, train

from autobrats.files import read_model
from autobrats.plan import Part, Plan
from autobrats.training import trainer as trainer_module
from autobrats.training.checkpoints import load_facts, load_tensors
from autobrats.training.cross_validation import TrainingOptions
from autobrats.training.run_directory import RunDirectory
from autobrats.training.stopping import TrainingFailed
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

Copier = Callable[[DatasetFolder], DatasetFolder]


@pytest.mark.parametrize("after", [2, 3, 5])
@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd", "ranger21"])
def test_a_resumed_training_equals_an_unbroken_one(
    regions_dataset: DatasetFolder, copy_of: Copier, hook_in: Callable, after: int, optimiser: str
) -> None:
    unbroken, broken = copy_of(regions_dataset), copy_of(regions_dataset)
    for folder in (unbroken, broken):
        edit_plan(folder, optimiser=Part(name=optimiser, options={"learning_rate": 0.01}))
    train(unbroken)
    hook_in(At(after, stop))
    assert train(broken)[0].state == "stopped"
    assert not run_of(broken).is_finished
    assert load_facts(run_of(broken).checkpoint_file)["iteration"] == after
    hook_in(None)
    other_threads = TrainingOptions(device=torch.device("cpu"), loading_threads=2)
    assert train(broken, options=other_threads)[0].state == "finished"
    assert_same_weights(run_of(unbroken), run_of(broken))
    assert history(run_of(unbroken)) == history(run_of(broken))
    assert len(history(run_of(broken))) == 2
    assert run_of(unbroken).metrics_file.read_text() == run_of(broken).metrics_file.read_text()


def test_a_kill_goes_back_to_the_last_checkpoint(
    regions_dataset: DatasetFolder, copy_of: Copier, hook_in: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt in the middle of a step leaves no checkpoint of half a step."""
    unbroken, broken = copy_of(regions_dataset), copy_of(regions_dataset)
    train(unbroken)
    hook_in(At(2, lambda trainer: trainer.save()))
    update = trainer_module.AveragedNetwork.update

    def interrupted(self: Any, iteration: int) -> None:
        if iteration == 4:
            raise KeyboardInterrupt
        update(self, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.AveragedNetwork, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    assert load_facts(run_of(broken).checkpoint_file)["iteration"] == 2
    hook_in(None)
    train(broken)
    assert_same_weights(run_of(unbroken), run_of(broken))
    assert history(run_of(unbroken)) == history(run_of(broken))


def test_a_checkpoint_at_every_step_does_no_harm(
    regions_dataset: DatasetFolder, copy_of: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, saving = copy_of(regions_dataset), copy_of(regions_dataset)
    train(unbroken)
    saved = []
    save = Trainer.save
    monkeypatch.setattr(Trainer, "save", lambda self: (saved.append(self.iteration), save(self)))
    edit_plan(saving, hooks=[Part(name="periodic_checkpoint", options={"every_s": 0.0})])
    train(saving)
    assert saved == [1, 2, 3, 4, 5, 6]
    assert_same_weights(run_of(unbroken), run_of(saving))


def test_seeds_and_folds_differ_and_repeat(regions_dataset: DatasetFolder, copy_of: Copier) -> None:
    def weights(seed: int, fold: str) -> torch.Tensor:
        folder = copy_of(regions_dataset)
        edit_plan(folder, training={"iterations": 1})
        train(folder, fold, options=TrainingOptions(device=torch.device("cpu"), seed=seed))
        return load_tensors(run_of(folder, fold).weights_file)[0]["stem.0.weight"]

    first = weights(1, "0")
    assert torch.equal(first, weights(1, "0"))
    assert not torch.equal(first, weights(2, "0")) and not torch.equal(first, weights(1, "1"))


def test_the_loss_falls_and_the_rate_follows_the_schedule(tiny: DatasetFolder) -> None:
    edit_plan(tiny, training={"iterations": 40, "iterations_per_epoch": 10})
    train(tiny)
    records = history(run_of(tiny))
    assert [record["iteration"] for record in records] == [10, 20, 30, 40]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert records[-1]["loss"] < records[0]["loss"] - 0.1
    for record in records:
        assert record["learning_rate"] == pytest.approx(0.01 * (1 - (record["iteration"] - 1) / 40) ** 0.9)
        assert set(record["quick_dice"]) == {"WT", "TC", "ET"}
        assert all(0 <= dice <= 1 for dice in record["quick_dice"].values())
        assert 0 < record["validation_loss"] < 5


# A loss that is not a number.


def spoil(folder: DatasetFolder, case: str) -> None:
    """Make the stored images of a case not a number."""
    path = folder.preprocessed / f"{case}.b2nd"
    array = blosc2.open(str(path), mode="r")[:]
    path.unlink()
    blosc2.asarray(np.full_like(array, np.nan), urlpath=str(path), mode="w")


def test_a_case_that_is_not_a_number_is_named_and_dropped(
    tiny: DatasetFolder, hook_in: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    edit_plan(tiny, pool=read_model(tiny.plan_file, Plan).configurations["3d_fullres"].pool[1:])  # one case a batch
    edit_plan(tiny, training={"iterations": 4, "iterations_per_epoch": 4})  # four training cases: each comes once
    case = json.loads(tiny.splits_file.read_text())[0]["train"][1]
    spoil(tiny, case)
    states: list[Trainer] = []
    hook_in(At(4, states.append))
    with caplog.at_level(logging.WARNING, "autobrats"):
        assert train(tiny)[0].state == "finished"
    (told,) = [record.getMessage() for record in caplog.records if "not a number" in record.getMessage()]
    assert case in told and "halved" in told
    (trainer,) = states
    assert trainer.guard.events == 1 and trainer.rate_factor == pytest.approx(0.5 * 0.25**0.9)
    for tensor in load_tensors(run_of(tiny).checkpoint_file)[0].values():
        assert torch.isfinite(tensor).all()
    assert np.isfinite(history(run_of(tiny))[0]["loss"])


def test_the_third_time_ends_the_training(tiny: DatasetFolder) -> None:
    cases = json.loads(tiny.splits_file.read_text())[0]["train"]
    for case in cases:
        spoil(tiny, case)
    with pytest.raises(TrainingFailed, match=rf"3 times, the last at iteration 3 with the cases {cases[0][:7]}"):
        train(tiny)
    assert not run_of(tiny).is_finished and not run_of(tiny).checkpoint_file.exists()


def test_a_gradient_that_is_not_a_number_drops_the_step(
    tiny: DatasetFolder, hook_in: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss may be finite where its gradient is not."""
    compute = Trainer.compute_loss

    def spoiled(self: Trainer, batch: Any) -> torch.Tensor:
        loss = compute(self, batch)
        if self.iteration == 1:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(Trainer, "compute_loss", spoiled)
    states: list[Trainer] = []
    hook_in(At(6, states.append))
    train(tiny)
    assert states[0].guard.events == 1
    assert all(torch.isfinite(parameter).all() for parameter in states[0].network.parameters())


# Hooks and files.


def test_what_a_run_leaves_behind(tiny: DatasetFolder, progress_figure: None) -> None:
    train(tiny)
    run = run_of(tiny)
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "manifest.json", "checkpoint.safetensors", "weights.safetensors", "history.jsonl", "progress.png", "tensorboard",
        "validation", "finished.json",
    }  # fmt: skip
    manifest = run.read_manifest()
    assert manifest["machine"]["torch"] == torch.__version__ and manifest["seed"] == 0 and manifest["device"] == "cpu"
    assert manifest["training_cases"] == 4 and manifest["validation_cases"] == 2
    assert run.progress_figure.read_bytes().startswith(b"\x89PNG")
    average, network = load_tensors(run.weights_file)[0], load_tensors(run.checkpoint_file)[0]
    assert all(torch.equal(average[name], network[f"average.{name}"]) for name in average)
    assert not all(torch.equal(average[name], network[f"network.{name}"]) for name in average)


def test_stopping_by_signal_restores_the_handlers(tiny: DatasetFolder, hook_in: Callable) -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    hook_in(At(4, lambda trainer: os.kill(os.getpid(), signal.SIGTERM)))
    assert train(tiny)[0].state == "stopped"
    assert load_facts(run_of(tiny).checkpoint_file)["iteration"] in (4, 5)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_budget_of_seconds_ends_a_long_training(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which every step takes 20 seconds."""
    from types import SimpleNamespace

    from autobrats.training import budget

    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(budget, "time", fake)
    monkeypatch.setattr(trainer_module, "time", fake)
    step = Trainer.step

    def slow(self: Trainer, batch: Any) -> None:
        step(self, batch)
        now[0] += 20

    monkeypatch.setattr(Trainer, "step", slow)
    edit_plan(tiny, training={"iterations": 10_000, "iterations_per_epoch": 4, "max_hours": 900 / 3600})
    train(tiny)
    done = load_facts(run_of(tiny).weights_file)["iterations"]
    assert 15 <= done <= 45
    assert history(run_of(tiny))[-1]["learning_rate"] < 0.2 * 0.01  # the schedule has come down with it


def test_the_run_directory_is_readable(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.read_manifest() == {} and not run.is_finished
    run.write_history([{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": None}])
    assert run.history_file.read_text() == '{"epoch": 0, "loss": 0.5}\n{"epoch": 1, "loss": null}\n'
    run.clear()
    assert not tmp_path.exists()
