"""Variants of out-of-fold predictions that are made before the tuning: with a CRF, and with another slice gate."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autobrats import registry
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.out_of_fold_source import OutOfFoldSource
from autobrats.errors import UserError
from autobrats.evaluation.probability_file import read_probabilities, write_probabilities
from autobrats.files import read_json
from autobrats.inference.combination import Combiner
from autobrats.networks.slice_axis import slice_dimension
from autobrats.plan import Configuration, Part, Plan
from autobrats.postprocessing.context import PostprocessingContext, stages
from autobrats.preprocessing.network_input import network_input
from autobrats.preprocessing.store import CaseStore
from autobrats.preprocessing.transform import in_study_box
from autobrats.training.run_directory import RunDirectory
from autobrats.workers import default_workers, map_in_workers
from autobrats.workspace import DatasetFolder

_log = logging.getLogger(__name__)

CRF_VARIANTS: dict[str, dict[str, float]] = {
    "crf": {},
    "crf, half the weights": {"appearance_weight": 1.0, "smoothness_weight": 0.5},
    "crf, twice as wide": {"appearance_mm": 20.0, "appearance_intensity": 1.0},
}
"""Options of ``dense_crf`` that are tried."""
VERSION = 1
"""Changes when the same variant comes out otherwise, so that older files are not used."""
GATE_THRESHOLDS = (0.1, 0.3, 0.7, 0.9)
"""Thresholds of ``slice_gate`` that are tried beside the plan's."""


@dataclass(frozen=True)
class Variant:
    """A way of making the probabilities of a mixture.

    Attributes:
        name: for people and for the search.
        crf: options of a CRF on the combined probabilities; None for no CRF.
        gate_threshold: instead of the plan's in every configuration that has a slice gate; None for the plan's.
    """

    name: str
    crf: dict[str, float] | None = None
    gate_threshold: float | None = None

    def parts(self) -> list[Part]:
        """Steps on the combination, before the rules of the regions."""
        return [] if self.crf is None else [Part(name="dense_crf", options=dict(self.crf))]

    def plan(self, plan: Plan) -> Plan:
        """The plan with the gates' threshold."""
        if self.gate_threshold is None:
            return plan
        configurations = {
            name: of.model_copy(update={"postprocessing": self.steps(of)}) for name, of in plan.configurations.items()
        }
        return plan.model_copy(update={"configurations": configurations})

    def steps(self, configuration: Configuration) -> list[Part]:
        """A configuration's own steps, with the gate's threshold."""
        return [
            Part(name=step.name, options={**step.options, "threshold": self.gate_threshold})
            if step.name == "slice_gate" and self.gate_threshold is not None
            else step
            for step in configuration.postprocessing
        ]


def variants_of(mixture: Mixture, plan: Plan, folder: DatasetFolder, source: OutOfFoldSource) -> list[Variant]:
    """What can be tried for a mixture: CRFs, unless its configurations have one already, and thresholds of its gates."""
    configurations = [plan.configurations[name] for name in mixture.configurations]
    found = []
    if not any(step.name == "dense_crf" for of in configurations for step in of.postprocessing):
        found += [Variant(name, crf=options) for name, options in CRF_VARIANTS.items()]
    store = CaseStore(folder.preprocessed)
    # The branch counts the slices of the network's grid; elsewhere its answers would have to be interpolated.
    if any(_has_gate(of) for of in configurations) and all(_is_on_study_grid(store, name) for name in source.files):
        found += [Variant(f"slice gate {threshold}", gate_threshold=threshold) for threshold in GATE_THRESHOLDS]
    return found


def with_variants(
    source: OutOfFoldSource,
    mixture: Mixture,
    folds: Mapping[str, int],
    folder: DatasetFolder,
    plan: Plan,
    variants: list[Variant],
    *,
    workers: int | None = None,
    most_seconds: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> OutOfFoldSource:
    """The source with the variants' probabilities, which are kept in the workspace for the next call.

    Args:
        source: of the mixture.
        mixture: what the source combines.
        folds: of the cases.
        folder, plan: of the runs.
        variants: to make, in order.
        workers: processes; None for as many as there are cores.
        most_seconds: what all may take; variants that would take it beyond, by the time of one case, are left out.
        on_progress: called with (cases done, cases in all) of all variants.

    Raises:
        UserError: if one cannot be made.
    """
    count = default_workers() if workers is None else workers
    left_s, files, jobs = most_seconds, {}, []
    for variant in variants:
        root = folder.tuning / "variants" / _digest(source, variant, mixture, plan)
        own = {name: root / f"{name}.b2nd" for name in source.files}
        missing = [
            _Job(source.only(name), mixture, folds[name], folder, plan, variant, name, path)
            for name, path in own.items()
            if not path.is_file()
        ]
        if missing and left_s is not None:
            seconds = _make(missing.pop(len(missing) // 2)) * len(missing) / max(1, count)
            if seconds > left_s:
                _log.info("%s is not tried: it would take about %.0f minutes.", variant.name, seconds / 60)
                continue
            left_s -= seconds
        files[variant.name] = own
        jobs += missing
    on_progress(0, len(jobs))
    made = map_in_workers(_make, jobs, workers=count, describe=lambda job: f"{job.name}, {job.variant.name}")
    for done, outcome in enumerate(made, 1):
        if outcome.error is not None:
            raise UserError(f"The variant '{outcome.item.variant.name}' of {outcome.item.name} failed: {outcome.error}")
        on_progress(done, len(jobs))
    return replace(source, variant_files=files)


@dataclass(frozen=True)
class _Job:
    source: OutOfFoldSource
    mixture: Mixture
    fold: int
    folder: DatasetFolder
    plan: Plan
    variant: Variant
    name: str
    path: Path


def _make(job: _Job) -> float:
    """Write the variant of a case; the seconds that took."""
    started = time.perf_counter()
    combined, box, shape, spacing_mm = job.source.combined(job.name)
    write_probabilities(job.path, _probabilities(job, combined), box, shape, spacing_mm)
    return time.perf_counter() - started


def _probabilities(job: _Job, combined: np.ndarray) -> np.ndarray:
    """The variant of the combined probabilities; both uint8, (region, z, y, x) of the study's box."""
    name, plan, variant = job.name, job.plan, job.variant
    store = CaseStore(job.folder.preprocessed)
    images = np.asarray(store.images(name)[:], np.float32)
    placement = store.properties(name).placement
    if variant.gate_threshold is not None:
        combiner = Combiner(job.mixture.combination, plan.convention)
        for configuration, weight in job.mixture.of_fold(job.fold):
            own = plan.configurations[configuration]
            run = RunDirectory(job.folder.run(configuration, job.fold))
            if not _has_gate(own):
                combiner.add(read_probabilities(run.scored_file(name))[0].astype(np.float32) / 255, weight)
                continue
            answers = read_json(run.slice_file(name))
            axis = slice_dimension(own.network.options.get("slice_axis", "axial")) - 2
            context = PostprocessingContext(
                plan.convention,
                network_input(images, [plan.modalities.index(m) for m in own.modalities], own.intensities),
                placement.study_spacing_mm,
                np.array([answers[region] for region in plan.convention.regions], np.float32),
                axis,
            )
            raw = read_probabilities(run.probability_file(name))[0].astype(np.float32) / 255
            combiner.add(_after(variant.steps(own), raw, context), weight)
        probabilities = combiner.result()
    else:
        probabilities = combined.astype(np.float32) / 255
    context = PostprocessingContext(plan.convention, in_study_box(images, placement), placement.study_spacing_mm)
    return np.rint(_after(variant.parts(), probabilities, context) * 255).astype(np.uint8)


def _after(steps: list[Part], probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray:
    built: list[Any] = [registry.build("postprocessing", step.name, step.options) for step in steps]
    *_, last = stages(built, probabilities, context)
    return last


def _digest(source: OutOfFoldSource, variant: Variant, mixture: Mixture, plan: Plan) -> str:
    """Differs for everything that a variant is made of."""
    steps = [variant.steps(plan.configurations[name]) for name in mixture.configurations]
    facts = [source.key, variant.crf, [[step.model_dump() for step in own] for own in steps], VERSION]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _is_on_study_grid(store: CaseStore, name: str) -> bool:
    placement = store.properties(name).placement
    return placement.shape == placement.box_shape


def _has_gate(configuration: Configuration) -> bool:
    return any(step.name == "slice_gate" for step in configuration.postprocessing)
