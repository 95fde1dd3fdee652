"""How training steps are run on a device: chosen once by measuring, kept with the run and in the workspace."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from autobrats.devices import computes_bfloat16, describe_device
from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.training.job import TrainingJob

PROBE_SHARE, PROBE_MOST_S, PROBE_LEAST_S = 0.02, 600.0, 20.0
"""Of a fold's time that choosing may take, the most (large steps take minutes), and what is too little to choose in."""
PROBE_LEAST_STEPS = 5000
"""Of a training whose length is given in steps, from which on something is measured."""
COMPILE_LEAST_HOURS = 1.0

_log = logging.getLogger(__name__)


class StepSettings(BaseModel):
    """What changes how fast a step is, and nothing of its result but the last digits.

    ``compiled`` is ``no``, ``default``, or, with CUDA graphs, ``reduce-overhead``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_format: Literal["plain", "channels_last"] = "plain"
    compiled: Literal["no", "default", "reduce-overhead"] = "no"

    def arrange(self, tensor: Tensor) -> Tensor:
        """Images in the memory format."""
        return tensor.contiguous(memory_format=self._format)

    def place(self, network: nn.Module) -> nn.Module:
        """The network itself, its weights in the memory format."""
        return network.to(memory_format=self._format)  # type: ignore[call-overload]

    def prepare(self, network: nn.Module) -> Callable[[Tensor], tuple]:
        """What runs a training's forward pass; shares the network's weights."""
        if self.compiled == "no":
            return network
        return torch.compile(network, mode=None if self.compiled == "default" else self.compiled)

    @property
    def _format(self) -> torch.memory_format:
        return torch.channels_last_3d if self.memory_format == "channels_last" else torch.contiguous_format

    def __str__(self) -> str:
        return self.memory_format + ("" if self.compiled == "no" else f", compiled ({self.compiled})")


class Measured(NamedTuple):
    """Seconds of a step by settings, at least one; and whether there was time to try all that could be."""

    seconds: dict[StepSettings, float]
    tried_all: bool


class StepChoice(BaseModel):
    """A choice, what it was made for, what was measured (seconds of a step), and whether there was time for more.

    Attributes:
        budget_s: that measuring had.
    """

    model_config = ConfigDict(extra="forbid")

    key: dict[str, str]
    chosen: StepSettings
    seconds: dict[str, float]
    budget_s: float = 0.0
    tried_all: bool = True


def usual_settings(device: torch.device) -> StepSettings:
    """Where nothing is measured."""
    return StepSettings(memory_format="channels_last" if device.type == "cuda" else "plain")


def probe_budget_s(job: TrainingJob) -> float:
    """Seconds for choosing; 0 for trainings that are too short for it."""
    training = job.configuration.training
    steps = training.iterations if training.max_hours is None else job.most_iterations
    if steps is not None and steps < PROBE_LEAST_STEPS:
        return 0.0
    budget = PROBE_MOST_S if training.max_hours is None else min(PROBE_MOST_S, PROBE_SHARE * 3600 * training.max_hours)
    return budget if budget >= PROBE_LEAST_S else 0.0


def may_compile(job: TrainingJob) -> bool:
    """Whether the training is long enough for compiling its network, and has patches of one size."""
    training = job.configuration.training
    is_long = training.max_hours is None or training.max_hours >= COMPILE_LEAST_HOURS
    return is_long and len(job.configuration.pool) == 1


def compiler_exists(device: torch.device) -> bool:
    """Whether torch can compile for a device: C++ for CPUs, Triton for CUDA."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return has_triton()
    return device.type == "cpu" and any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def settings_of(job: TrainingJob, measure: Callable[[float], Measured]) -> StepSettings:
    """The settings of a run: those that it was begun with; else those that this machine has chosen before; else measured.

    A choice that was measured in less than half of the time that there is now, and not to its end, is made again.

    Args:
        job: whose run directory and workspace keep the choice.
        measure: gives the seconds of a step by settings within so many seconds.
    """
    if job.run.step_file.is_file():
        return _begun_with(job, read_model(job.run.step_file, StepChoice))
    budget_s = probe_budget_s(job)
    if not budget_s or job.run.checkpoint_file.is_file():
        return usual_settings(job.device)
    key = _key(job)
    choice = _cached(file := _cache_file(job, key), key)
    if choice is None or (not choice.tried_all and budget_s >= 2 * choice.budget_s):
        _log.info("%s: measuring how a training step is fastest, at most about %.0f s.", job.title, budget_s)
        seconds, tried_all = measure(budget_s)
        chosen = min(seconds, key=lambda settings: seconds[settings])
        told = {str(settings): round(value, 4) for settings, value in seconds.items()}
        choice = StepChoice(key=key, chosen=chosen, seconds=told, budget_s=round(budget_s, 1), tried_all=tried_all)
        write_json(file, choice)
    _log.info("%s: a step is fastest as %s (%s).", job.title, choice.chosen, _in_words(choice.seconds))
    write_json(job.run.step_file, choice)
    return choice.chosen


def _begun_with(job: TrainingJob, choice: StepChoice) -> StepSettings:
    """A run's settings as far as they can be used here: it may have been begun on another machine."""
    device = describe_device(job.device)
    if choice.key.get("device") != device:
        usual = usual_settings(job.device)
        _log.info("%s was begun on another device than %s; its steps are run as %s now.", job.title, device, usual)
        return usual
    if choice.chosen.compiled != "no" and not compiler_exists(job.device):
        plain = StepSettings(memory_format=choice.chosen.memory_format)
        _log.info("%s was begun %s; there is no compiler now: %s.", job.title, choice.chosen, plain)
        return plain
    return choice.chosen


def _key(job: TrainingJob) -> dict[str, str]:
    configuration = job.configuration
    return {
        "network": configuration.network.model_dump_json(),
        "modalities": str(len(configuration.modalities)),
        "loss": configuration.loss.model_dump_json(),
        "pool": ", ".join(f"{entry.patch_size} x {entry.batch_size}" for entry in configuration.pool),
        "device": describe_device(job.device),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "mixed_precision": str(configuration.training.mixed_precision and computes_bfloat16(job.device)),
        "may_compile": str(may_compile(job)),
        "compiler": str(compiler_exists(job.device)),
    }


def _cache_file(job: TrainingJob, key: dict[str, str]) -> Path:
    """``speed/`` of the dataset's folder in the workspace."""
    name = hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()[:16]
    return job.store.folder.parent / "speed" / f"{name}.json"


def _cached(file: Path, key: dict[str, str]) -> StepChoice | None:
    """The choice in a file; None if there is none, or it cannot be used."""
    if not file.is_file():
        return None
    try:
        choice = read_model(file, StepChoice)
    except UserError as error:
        _log.info("%s; it is measured again.", error)
        return None
    return choice if choice.key == key else None


def _in_words(seconds: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
