"""One training job: which configuration and fold, on what, from where to where."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

from autobrats.dataset.cases import Dataset
from autobrats.plan import Configuration, Plan
from autobrats.preprocessing.store import CaseStore
from autobrats.training.run_directory import RunDirectory


@dataclass(frozen=True)
class TrainingJob:
    """What a trainer is given.

    Attributes:
        dataset: the cases as they lie on disk.
        plan: of the dataset.
        name: the configuration's name in the plan.
        configuration: its values; changes by command-line options are made here already.
        fold: 0, 1, ... or ``all``.
        training_cases, validation_cases: names; no validation cases for ``all``.
        store: the preprocessed cases.
        run: where everything is written.
        device: where to train.
        seed: of initialisation, batches, augmentation and dropout.
        loading_threads: that read ahead.
        most_iterations: that are done even if more would fit the time budget.
    """

    dataset: Dataset
    plan: Plan
    name: str
    configuration: Configuration
    fold: str
    training_cases: list[str]
    validation_cases: list[str]
    store: CaseStore
    run: RunDirectory
    device: torch.device
    seed: int
    loading_threads: int
    most_iterations: int | None = None

    @property
    def title(self) -> str:
        """For people: ``3d_fullres fold 0``."""
        return f"{self.name} fold {self.fold}"

    @property
    def channels(self) -> list[int]:
        """Which of the plan's modalities the network sees, by index."""
        return [self.plan.modalities.index(modality) for modality in self.configuration.modalities]

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose, different for every fold."""
        return zlib.crc32(f"{self.seed}/{self.fold}/{purpose}".encode())
