"""Trainings of the tiny dataset: changing its plan, running it, looking at what came out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch

from autobrats.files import read_model, write_json
from autobrats.plan import Plan
from autobrats.training.checkpoints import load_tensors
from autobrats.training.cross_validation import FoldResult, TrainingOptions, train_folds
from autobrats.training.hooks import Hook
from autobrats.training.run_directory import RunDirectory
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

CPU = TrainingOptions(device=torch.device("cpu"), loading_threads=0)


def edit_plan(folder: DatasetFolder, **changes: Any) -> None:
    """Change values of the configuration; ``training`` and ``augmentation`` by key."""
    plan = read_model(folder.plan_file, Plan)
    configuration = plan.configurations["3d_fullres"]
    for key, value in changes.items():
        if isinstance(value, dict):
            value = getattr(configuration, key).model_copy(update=value)
        configuration = configuration.model_copy(update={key: value})
    plan.configurations["3d_fullres"] = configuration
    write_json(folder.plan_file, plan)


def train(folder: DatasetFolder, *folds: str, options: TrainingOptions = CPU) -> list[FoldResult]:
    return train_folds(folder, "3d_fullres", folds or ["0"], options)


def run_of(folder: DatasetFolder, fold: str = "0") -> RunDirectory:
    return RunDirectory(folder.run("3d_fullres", fold))


class At(Hook):
    """Does something after one step."""

    def __init__(self, iteration: int, action: Callable[[Trainer], None]) -> None:
        self.iteration, self.action = iteration, action

    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == self.iteration:
            self.action(trainer)


def stop(trainer: Trainer) -> None:
    trainer.stop_reason = "a test"


def assert_same_weights(one: RunDirectory, other: RunDirectory) -> None:
    for file in ("checkpoint_file", "weights_file"):
        first, second = load_tensors(getattr(one, file))[0], load_tensors(getattr(other, file))[0]
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), file


def history(run: RunDirectory) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in run.history_file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
