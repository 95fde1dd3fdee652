"""Out-of-fold predictions of a mixture, as a source of cases to tune on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.volumes import read_case_mask
from autobrats.ensembling.mixture import Mixture
from autobrats.errors import UserError
from autobrats.evaluation.probability_file import Box, Shape, read_probabilities, read_spacing, to_volume
from autobrats.inference.combination import Combination, Combiner
from autobrats.plan import Plan
from autobrats.training.run_directory import RunDirectory
from autobrats.tuning.search_space import UNCHANGED
from autobrats.tuning.sources import SourceCase, file_facts
from autobrats.workspace import DatasetFolder


@dataclass(frozen=True)
class OutOfFoldSource:
    """Cases that are each predicted by the networks of their own fold.

    Attributes:
        files: by case, (probabilities, weight) of every configuration of the mixture.
        combination: of the configurations.
        cases: of the dataset, by name.
        modalities, convention: of the plan.
        patients: by case.
        variant_files: by variant and case, probabilities that were made of the combined ones beforehand.
    """

    files: dict[str, tuple[tuple[Path, float], ...]]
    combination: Combination
    cases: dict[str, Case]
    modalities: tuple[str, ...]
    convention: Convention
    variant_files: dict[str, dict[str, Path]] = field(default_factory=dict)
    graded: bool = True

    @cached_property
    def key(self) -> str:
        """A hash of the files' names, sizes and times, and of how they are combined."""
        digest = hashlib.sha256(f"{self.combination} {self.convention.model_dump_json()}".encode())
        for name, files in sorted(self.files.items()):
            digest.update(repr((name, [(weight, *file_facts(file)) for file, weight in files])).encode())
        return digest.hexdigest()

    @property
    def patients(self) -> dict[str, str]:
        return {name: self.cases[name].patient for name in self.files}

    @property
    def variants(self) -> list[str]:
        return list(self.variant_files)

    def only(self, name: str) -> OutOfFoldSource:
        """The same with one case, which is quick to send to a worker."""
        variants = {of: {name: files[name]} for of, files in self.variant_files.items()}
        return replace(self, files={name: self.files[name]}, cases={name: self.cases[name]}, variant_files=variants)

    def load(self, name: str) -> SourceCase:
        """Read a case's predictions and combine them.

        Raises:
            UserError: if a file is missing or damaged.
        """
        probabilities, box, shape, spacing_mm = self.combined(name)
        variants = {UNCHANGED: to_volume(probabilities, box, shape)}
        for variant, files in self.variant_files.items():
            variants[variant] = to_volume(*read_probabilities(files[name]))
        return SourceCase(variants, self.reference(name), spacing_mm)

    def combined(self, name: str) -> tuple[np.ndarray, Box, Shape, tuple[float, float, float]]:
        """The combined probabilities, uint8 (region, z, y, x) of the box; the box, the study's shape and spacing in mm."""
        files = self.files[name]
        spacing_mm = read_spacing(files[0][0])
        assert spacing_mm is not None
        if len(files) == 1 and self.combination == "mean":
            return (*read_probabilities(files[0][0]), spacing_mm)
        combiner = Combiner(self.combination, self.convention)
        for file, weight in files:
            probabilities, box, shape = read_probabilities(file)
            combiner.add(probabilities.astype(np.float32) / 255, weight)
        return np.rint(combiner.result() * 255).astype(np.uint8), box, shape, spacing_mm

    def reference(self, name: str) -> np.ndarray:
        """The case's own mask: labels, (z, y, x)."""
        return read_case_mask(self.cases[name], self.modalities)


def out_of_fold_source(
    folder: DatasetFolder, dataset: Dataset, plan: Plan, mixture: Mixture, folds: Mapping[str, int]
) -> OutOfFoldSource:
    """The source of a mixture.

    Args:
        folds: of the cases that are to be in it; those of folds that the mixture was not trained on are left out.

    Raises:
        UserError: if a finished run lacks its prediction of a case.
    """
    files = {}
    for name, fold in folds.items():
        runs = [(RunDirectory(folder.run(of, fold)), weight) for of, weight in mixture.of_fold(fold)]
        if not runs or not all(run.is_finished for run, _ in runs):
            continue
        files[name] = tuple((run.scored_file(name), weight) for run, weight in runs)
        for file, _ in files[name]:
            if not file.is_file():
                raise UserError(f"{file} does not exist; train its fold again with --restart.")
    return OutOfFoldSource(
        files=files,
        combination=mixture.combination,
        cases={name: dataset.case(name) for name in files},
        modalities=tuple(plan.modalities),
        convention=plan.convention,
    )
