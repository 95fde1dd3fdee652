"""Fine-tuning the finished network of a fold, briefly, and scoring it on the fold's held-back cases."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from autobrats import registry
from autobrats.errors import UserError
from autobrats.files import file_sha256, read_json, read_model, write_json
from autobrats.plan import Configuration
from autobrats.training.averaging import AveragedNetwork
from autobrats.training.checkpoints import load_tensors
from autobrats.training.hard_mining import hard_cases
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob
from autobrats.training.run_directory import RunDirectory
from autobrats.training.schedules import Schedule
from autobrats.training.trainer import Trainer
from autobrats.training.whole_cases import case_dice
from autobrats.tuning.hard_mining_choice import HardMiningChoice
from autobrats.tuning.hard_mining_voxels import mines_voxels, with_voxel_share

MEASURED_STEPS = 6
"""From which the seconds of a step are measured, the first left out."""
WRITTEN_EVERY_S = 30.0


class StartingDice(BaseModel):
    """starting_dice_fold_K.json: the mean Dice over the regions before any fine-tuning.

    Attributes:
        weights_sha256: of the weights that predicted.
        seconds: of a case.
        dice: by case.
    """

    model_config = ConfigDict(extra="forbid")

    weights_sha256: str
    seconds: float = 0.0
    dice: dict[str, float] = Field(default_factory=dict)


class FoldTuning:
    """A fold whose training is finished, as the start of fine-tunings that leave it as it is.

    Args:
        job: the fold's; its run directory is only read.
        folder: for files of its own.
    """

    def __init__(self, job: TrainingJob, folder: Path) -> None:
        self.job, self.folder = job, folder
        weights = job.run.weights_file
        self._tensors = load_tensors(weights)[0]
        self.weights_sha256 = file_sha256(weights)
        self.iterations: int = read_json(job.run.finished_file)["iterations"]

    @property
    def fold(self) -> str:
        return self.job.fold

    @property
    def seconds_a_case(self) -> float:
        """That predicting a case takes."""
        return self._read_starting().seconds

    def starting_dice(self, names: Sequence[str]) -> dict[str, float]:
        """The Dice before fine-tuning of those of the cases that were predicted."""
        known = self._read_starting().dice
        return {name: known[name] for name in names if name in known}

    def predict_starting(self, names: Sequence[str], limit_s: float | None = None) -> None:
        """Predict the cases that no earlier call has predicted, and keep their Dice on the disk.

        Args:
            names: of the cases.
            limit_s: after which no further case is predicted; what is known is a fair sample then. At least one is.
        """
        known = self._read_starting()
        missing = [name for name in self._shuffled(names) if name not in known.dice]
        if missing and not (limit_s is not None and known.dice and known.seconds * len(known.dice) > limit_s):
            self._predict(known, missing, limit_s)

    def fine_tune(
        self, choice: HardMiningChoice, steps: int, looked_at: Sequence[str], scored: Sequence[str]
    ) -> dict[str, float]:
        """Train on the hard cases from the finished weights, and score held-back cases.

        The hard cases of every round are those by the starting weights: predicting all training cases again would take
        longer than the round. A round that finds none trains on all cases, as the hook does.

        Args:
            choice: what to try.
            steps: of the optimiser, of all rounds together.
            looked_at: the training cases among which the hard ones are; :meth:`predict_starting` has predicted them.
            scored: the cases whose Dice is returned, after fine-tuning.

        Raises:
            TrainingFailed: if the loss is not a number again and again.
            KeyboardInterrupt: if it was asked to stop.
        """
        known = self.starting_dice(looked_at)
        rounds = [hard_cases(known, threshold) or self.job.training_cases for threshold in choice.thresholds]
        with self._trainer(choice, steps, rounds) as trainer:
            trainer.train()
            if trainer.stop_reason is not None:
                raise KeyboardInterrupt(trainer.stop_reason)
            network = trainer.average.network.eval()
            return {name: round(case_dice(self.job, network, name), 5) for name in scored}

    def measure_step_s(self, choice: HardMiningChoice) -> float:
        """Seconds of a step of the optimiser on this machine."""
        watch = _Stopwatch()
        with self._trainer(choice, MEASURED_STEPS, []) as trainer:
            trainer.hooks.append(watch)
            trainer.train()
            if trainer.stop_reason is not None:
                raise KeyboardInterrupt(trainer.stop_reason)
        return (watch.times[-1] - watch.times[0]) / (len(watch.times) - 1)

    @contextmanager
    def _trainer(self, choice: HardMiningChoice, steps: int, rounds: list[list[str]]) -> Iterator[Trainer]:
        """With the fold's weights, and a run directory that is deleted afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="trial_", dir=self.folder) as scratch:
            configuration = _brief(self.job.configuration, choice, steps)
            job = replace(self.job, run=RunDirectory(Path(scratch)), configuration=configuration)
            part = configuration.trainer
            trainer = registry.build("trainer", part.name, part.options, job=job)
            self._load(trainer.network)
            trainer.average = AveragedNetwork(trainer.network, configuration.training.average_decay)
            trainer.schedule = _Constant(choice.rate)
            trainer.hooks.append(_Rounds(rounds))
            yield trainer

    def _load(self, network: nn.Module) -> None:
        try:
            network.load_state_dict(self._tensors)
        except RuntimeError as error:
            raise UserError(
                f"{self.job.title} was trained with another network than the plan's; train it again with --restart."
            ) from error

    def _predict(self, known: StartingDice, missing: Sequence[str], limit_s: float | None) -> None:
        with self._trainer(HardMiningChoice(thresholds=(), rate=1.0, share=1.0), 1, []) as trainer:
            network = trainer.average.network.eval()
            started = written = time.perf_counter()
            before = len(known.dice)
            try:
                for name in missing:
                    now = time.perf_counter()
                    if limit_s is not None and known.dice and now - started > limit_s:
                        break
                    if now - written > WRITTEN_EVERY_S:
                        written = now
                        write_json(self._starting_file, known)
                    known.dice[name] = round(case_dice(self.job, network, name), 5)
                    known.seconds = round((time.perf_counter() - started) / (len(known.dice) - before), 6)
            finally:
                write_json(self._starting_file, known)

    def _shuffled(self, names: Sequence[str]) -> list[str]:
        order = np.random.default_rng(self.job.seed_of("hard mining")).permutation(len(names))
        return [names[index] for index in order]

    @property
    def _starting_file(self) -> Path:
        return self.folder / f"starting_dice_fold_{self.fold}.json"

    def _read_starting(self) -> StartingDice:
        """What is known of these weights, nothing if the file is of others."""
        if self._starting_file.is_file():
            known = read_model(self._starting_file, StartingDice)
            if known.weights_sha256 == self.weights_sha256:
                return known
        return StartingDice(weights_sha256=self.weights_sha256)


def _brief(configuration: Configuration, choice: HardMiningChoice, steps: int) -> Configuration:
    """For a fine-tuning of so many steps, with nothing beside them."""
    training = configuration.training.model_copy(
        update={"iterations": steps, "iterations_per_epoch": steps, "max_hours": None}
    )
    changes: dict[str, Any] = {"training": training, "hooks": []}
    if mines_voxels(configuration.loss):
        changes["loss"] = with_voxel_share(configuration.loss, choice.voxel_share or 1.0, choice.voxel_share)
    return configuration.model_copy(update=changes)


class _Constant(Schedule):
    """The same rate throughout."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def factor(self, progress: float) -> float:
        return self.rate


class _Rounds(Hook):
    """Trains on the cases of each round in turn, the rounds equally long; no rounds change nothing."""

    def __init__(self, rounds: Sequence[list[str]]) -> None:
        self.rounds = rounds

    def before_training(self, trainer: Trainer) -> None:
        self._begin_if_due(trainer)

    def after_step(self, trainer: Trainer) -> None:
        self._begin_if_due(trainer)

    def _begin_if_due(self, trainer: Trainer) -> None:
        if not self.rounds or trainer.iteration >= trainer.total_iterations:
            return
        names = self.rounds[trainer.iteration * len(self.rounds) // trainer.total_iterations]
        if names != trainer.training_cases:
            trainer.use_cases(names)


class _Stopwatch(Hook):
    """When every step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def after_step(self, trainer: Trainer) -> None:
        self.times.append(time.perf_counter())
