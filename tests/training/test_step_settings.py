"""How steps are run: measured for long trainings only, kept with the run, no change of the result."""

from __future__ import annotations

import ctypes
import json
import logging
import platform
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from training_runs import CPU, At, assert_same_weights, edit_plan, run_of, stop, train

from autobrats.devices import describe_device
from autobrats.files import read_model, write_json
from autobrats.networks.output import NetworkOutput
from autobrats.networks.plain_unet import PlainUNet
from autobrats.training import step_probe, step_settings, trainer
from autobrats.training.checkpoints import load_tensors
from autobrats.training.cross_validation import CrossValidation
from autobrats.training.job import TrainingJob
from autobrats.training.kept_memory import memory_is_kept
from autobrats.training.step_settings import Measured, StepChoice, StepSettings, probe_budget_s, settings_of
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

PLAIN, LAST = StepSettings(), StepSettings(memory_format="channels_last")
COMPILED = StepSettings(memory_format="channels_last", compiled="default")
HERE = {"device": describe_device(torch.device("cpu"))}


def job_of(folder: DatasetFolder, hours: float | None = None, epochs: int | None = None) -> TrainingJob:
    return CrossValidation(folder, replace(CPU, epochs=epochs)).job("3d_fullres", "0", hours)


def test_short_trainings_measure_nothing(tiny: DatasetFolder) -> None:
    assert [probe_budget_s(job_of(tiny, hours)) for hours in (None, 0.25, 0.5, 100)] == [0, 0, 36, 600]
    assert probe_budget_s(job_of(tiny, 10, epochs=1)) == 0


def test_a_choice_is_measured_once(tiny: DatasetFolder) -> None:
    asked = []

    def measure(budget_s: float) -> Measured:
        asked.append(budget_s)
        return Measured({PLAIN: 2.0, LAST: 1.0}, tried_all=True)

    job = job_of(tiny, 100)
    assert settings_of(job, measure) == LAST
    assert settings_of(job, measure) == LAST  # the run's
    job.run.step_file.unlink()
    assert settings_of(job, measure) == LAST  # the workspace's
    assert asked == [600]
    (kept,) = (tiny.path / "speed").iterdir()
    kept.write_text("{}")
    job.run.step_file.unlink()
    assert settings_of(job, measure) == LAST and asked == [600, 600]
    assert settings_of(job_of(tiny), measure) == LAST  # what the run was begun with, however short it is now
    job.run.step_file.unlink()
    job.run.checkpoint_file.touch()
    assert settings_of(job, measure) == PLAIN  # begun without


def test_what_was_not_measured_to_its_end_is_measured_again_with_twice_the_time(tiny: DatasetFolder) -> None:
    asked = []

    def measure(budget_s: float) -> Measured:
        asked.append(round(budget_s))
        return Measured({PLAIN: 1.0}, tried_all=budget_s > 100)

    for hours in (0.5, 0.9, 2, 20):
        job = job_of(tiny, hours)
        job.run.step_file.unlink(missing_ok=True)
        settings_of(job, measure)
    assert asked == [36, 144]
    assert read_model(job.run.step_file, StepChoice).budget_s == 144


def test_settings_that_cannot_run_here_are_not_used(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, measured = job_of(tiny, 100), Measured({COMPILED: 1.0}, tried_all=True)
    monkeypatch.setattr(step_settings, "compiler_exists", lambda device: True)
    assert settings_of(job, lambda budget_s: measured) == COMPILED
    monkeypatch.setattr(step_settings, "compiler_exists", lambda device: False)
    caplog.clear()  # other tests may have turned the log on before
    with caplog.at_level(logging.INFO, "autobrats"):
        assert settings_of(job, lambda budget_s: measured) == LAST
        write_json(job.run.step_file, StepChoice(key={"device": "another"}, chosen=COMPILED, seconds={}))
        assert settings_of(job, lambda budget_s: measured) == PLAIN
    assert ["no compiler now" in record.getMessage() for record in caplog.records] == [True, False]
    assert "begun on another device than CPU" in caplog.records[1].getMessage()
    job.run.step_file.unlink()
    assert settings_of(job, lambda budget_s: Measured({PLAIN: 1.0}, tried_all=True)) == PLAIN  # not the workspace's


def test_a_resumed_training_in_channels_last_equals_an_unbroken_one(
    regions_dataset: DatasetFolder, copy_of: Callable, hook_in: Callable
) -> None:
    usual, unbroken, broken = (copy_of(regions_dataset) for _ in range(3))
    for folder in (usual, unbroken, broken):
        edit_plan(folder, training={"mixed_precision": False})
    for folder in (unbroken, broken):
        write_json(run_of(folder).step_file, StepChoice(key=HERE, chosen=LAST, seconds={}))
    train(usual)
    train(unbroken)
    hook_in(At(3, stop))
    train(broken)
    hook_in(None)
    train(broken)
    assert_same_weights(unbroken_run := run_of(unbroken), run_of(broken))
    first, second = (load_tensors(run.weights_file)[0] for run in (run_of(usual), unbroken_run))
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-3


@pytest.mark.parametrize("settings", [PLAIN, LAST], ids=str)
def test_a_resumed_training_in_bfloat16_equals_an_unbroken_one(
    regions_dataset: DatasetFolder,
    copy_of: Callable,
    hook_in: Callable,
    monkeypatch: pytest.MonkeyPatch,
    settings: StepSettings,
) -> None:
    monkeypatch.setattr(trainer, "computes_bfloat16", lambda device: True)  # slow on most CPUs, and right on all
    unbroken, broken, single = (copy_of(regions_dataset) for _ in range(3))
    edit_plan(single, training={"mixed_precision": False})
    for folder in (unbroken, broken, single):
        write_json(run_of(folder).step_file, StepChoice(key=HERE, chosen=settings, seconds={}))
    train(unbroken)
    train(single)
    hook_in(At(3, stop))
    train(broken)
    hook_in(None)
    train(broken)
    assert_same_weights(run_of(unbroken), run_of(broken))
    losses = [
        [json.loads(line)["loss"] for line in run_of(folder).history_file.open()] for folder in (unbroken, single)
    ]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.01)


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
    assert list(found.seconds) == [PLAIN] and found.seconds[PLAIN] > 0 and found.tried_all
    told = [record.getMessage() for record in caplog.records]
    assert "channels_last gives the loss" in told[0] and "plain, compiled (default) fails (no compiler)" in told[1]
    assert torch.equal(before[0], torch.get_rng_state())
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in trainer.network.state_dict().items())


class Weaker(nn.Module):
    """The same output, half of the gradient."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> NetworkOutput:
        logits = self.network(images).logits
        return NetworkOutput(logits / 2 + logits.detach() / 2)


def test_another_gradient_is_not_chosen(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    edit_plan(tiny, pool=job_of(tiny).configuration.pool[:1])
    trainer = Trainer(job_of(tiny, 0.5))
    trainer.network = PlainUNet(4, 3, [4, 6], [[1, 1, 1], [2, 2, 2]])
    prepare = StepSettings.prepare
    monkeypatch.setattr(
        StepSettings, "prepare", lambda self, network: Weaker(network) if self == LAST else prepare(self, network)
    )
    with caplog.at_level(logging.INFO, "autobrats"):
        assert list(trainer.measure_settings(30).seconds) == [PLAIN]
    assert "channels_last gives a gradient of the norm" in caplog.records[0].getMessage()


def test_kept_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, int, int]] = []

    class Recorder:
        def mallopt(self, parameter: int, value: int) -> None:
            called.append(("mallopt", parameter, value))

        def malloc_trim(self, pad: int) -> None:
            called.append(("malloc_trim", pad, 0))

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Recorder())
    with pytest.raises(KeyError), memory_is_kept(torch.device("cpu")):
        assert called == [("mallopt", -4, 0), ("mallopt", -1, 2**31 - 1)]
        raise KeyError
    undone = [("mallopt", -4, 65536), ("mallopt", -3, 32 * 2**20), ("mallopt", -1, 64 * 2**20), ("malloc_trim", 0, 0)]
    assert called[2:] == undone
    with memory_is_kept(torch.device("meta")):
        assert len(called) == 6
