"""One training job: which configuration and fold, on what, from where to where."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autobrats.dataset.cases import Dataset
from autobrats.loading.training_cases import TrainingCase, open_cases
from autobrats.plan import Configuration, Plan
from autobrats.preprocessing.store import CaseStore
from autobrats.training.hooks import Hook
from autobrats.training.run_directory import RunDirectory
from autobrats.training.unlabelled_studies import UnlabelledStudies


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
        pretrained: weights to start from; random ones if None.
        unlabelled: studies that the fold uses beside the labelled cases; those that a teacher has labelled are among the
            training cases.
        part: which part of a fold of several trainings this is, for people; empty for the fold itself.
        hooks: beside the plan's, called before them.
        shows_bar: whether the training shows a bar of its own in a terminal.
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
    pretrained: Path | None = None
    unlabelled: UnlabelledStudies | None = None
    part: str = ""
    hooks: tuple[Hook, ...] = ()
    shows_bar: bool = True

    @property
    def title(self) -> str:
        """For people: ``3d_fullres fold 0``."""
        return f"{self.name} fold {self.fold}" + (f", {self.part}" if self.part else "")

    @property
    def labelled_cases(self) -> list[str]:
        """The training cases that a person has labelled."""
        unlabelled = set() if self.unlabelled is None else set(self.unlabelled.names)
        return [name for name in self.training_cases if name not in unlabelled]

    @property
    def channels(self) -> list[int]:
        """Which of the plan's modalities the network sees, by index."""
        return [self.plan.modalities.index(modality) for modality in self.configuration.modalities]

    def open_cases(self, names: Sequence[str]) -> list[TrainingCase]:
        """Preprocessed cases as the configuration's network sees them; unlabelled ones weigh what the plan says."""
        cases = open_cases(self.store, names, self.channels, self.configuration.intensities)
        if self.unlabelled is None:
            return cases
        weight, unlabelled = self.configuration.semi_supervision.unlabelled_weight, set(self.unlabelled.names)
        return [replace(case, weight=weight) if case.name in unlabelled else case for case in cases]

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose, different for every fold."""
        return zlib.crc32(f"{self.seed}/{self.fold}/{purpose}".encode())
