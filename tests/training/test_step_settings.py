"""How steps are run: measured for long trainings only, kept with the run, no change of the result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from training_runs import CPU, At, assert_same_weights, edit_plan, run_of, stop, train

from autobrats.files import write_json
from autobrats.training import step_probe
from autobrats.training.checkpoints import load_tensors
from autobrats.training.cross_validation import CrossValidation
from autobrats.training.job import TrainingJob
from autobrats.training.kept_memory import memory_is_kept
from autobrats.training.step_settings import StepChoice, StepSettings, probe_budget_s, settings_of
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

PLAIN, LAST = StepSettings(), StepSettings(memory_format="channels_last")
COMPILED = StepSettings(compiled="default")


def job_of(folder: DatasetFolder, hours: float | None = None, epochs: int | None = None) -> TrainingJob:
    return CrossValidation(folder, replace(CPU, epochs=epochs)).job("3d_fullres", "0", hours)


def test_short_trainings_measure_nothing(tiny: DatasetFolder) -> None:
    assert [probe_budget_s(job_of(tiny, hours)) for hours in (None, 0.25, 0.5, 10)] == [0, 0, 36, 60]
    assert probe_budget_s(job_of(tiny, 10, epochs=1)) == 0


def test_a_choice_is_measured_once(tiny: DatasetFolder) -> None:
    asked = []

    def measure(budget_s: float) -> dict[StepSettings, float]:
        asked.append(budget_s)
        return {PLAIN: 2.0, LAST: 1.0}

    job = job_of(tiny, 10)
    assert settings_of(job, measure) == LAST
    assert settings_of(job, measure) == LAST  # the run's
    job.run.step_file.unlink()
    assert settings_of(job, measure) == LAST  # the workspace's
    assert asked == [60]
    (kept,) = (tiny.path / "speed").iterdir()
    kept.write_text("{}")
    job.run.step_file.unlink()
    assert settings_of(job, measure) == LAST and asked == [60, 60]
    assert settings_of(job_of(tiny), measure) == LAST  # what the run was begun with, however short it is now
    job.run.step_file.unlink()
    job.run.checkpoint_file.touch()
    assert settings_of(job, measure) == PLAIN  # begun without


def test_a_resumed_training_in_channels_last_equals_an_unbroken_one(
    regions_dataset: DatasetFolder, copy_of: Callable, hook_in: Callable
) -> None:
    usual, unbroken, broken = (copy_of(regions_dataset) for _ in range(3))
    for folder in (unbroken, broken):
        write_json(run_of(folder).step_file, StepChoice(key={}, chosen=LAST, seconds={}))
    train(usual)
    train(unbroken)
    hook_in(At(3, stop))
    train(broken)
    hook_in(None)
    train(broken)
    assert_same_weights(unbroken_run := run_of(unbroken), run_of(broken))
    first, second = (load_tensors(run.weights_file)[0] for run in (run_of(usual), unbroken_run))
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-3


class Fails(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("no compiler")


def test_what_fails_or_gives_another_loss_is_not_chosen(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    edit_plan(tiny, pool=job_of(tiny).configuration.pool[:1])
    trainer = Trainer(job_of(tiny, 10))
    before = torch.get_rng_state(), {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    monkeypatch.setattr(step_probe, "compiler_exists", lambda device: True)
    monkeypatch.setattr(torch, "compile", lambda network, mode: Fails())
    place = StepSettings.place

    def other(self: StepSettings, network: nn.Module) -> nn.Module:
        if self == LAST:
            for parameter in network.parameters():
                nn.init.constant_(parameter, 0.1)
        return place(self, network)

    monkeypatch.setattr(StepSettings, "place", other)
    with caplog.at_level(logging.INFO, "autobrats"):
        found = trainer.measure_settings(30)
    assert list(found) == [PLAIN] and found[PLAIN] > 0
    told = [record.getMessage() for record in caplog.records]
    assert "channels_last gives the loss" in told[0] and "plain, compiled (default) fails (no compiler)" in told[1]
    assert torch.equal(before[0], torch.get_rng_state())
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in trainer.network.state_dict().items())


def test_kept_memory_changes_no_number() -> None:
    with memory_is_kept(torch.device("cpu")):
        blocks = [torch.full((3, 1024, 1024), float(value)) for value in range(12)]
    assert [float(block.mean()) for block in blocks] == list(range(12))
