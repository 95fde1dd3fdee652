"""Whole-volume validation of a trained fold: predictions, metrics, and what a missing modality costs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autobrats.evaluation.metrics_file import CaseMetrics, Metrics, build_metrics, write_metrics
from autobrats.evaluation.out_of_fold import score_probabilities
from autobrats.evaluation.overlap import region_dice
from autobrats.evaluation.probability_file import read_probabilities, write_probabilities
from autobrats.files import read_json, write_json
from autobrats.inference.postprocessor import Postprocessor
from autobrats.inference.sliding_window import VolumePrediction, window_size, window_starts
from autobrats.networks.building import divisor_of
from autobrats.networks.slice_axis import in_plane_dimensions
from autobrats.preprocessing.transform import to_study_box
from autobrats.reporting.score_tables import write_score_tables
from autobrats.training.job import TrainingJob
from autobrats.training.whole_cases import case_dice, case_images, predict_case

_log = logging.getLogger(__name__)

BUDGET_SHARE = 0.25
"""Of a fold's time that its validation may take."""
MISSING_MODALITY_CASES = 24
"""Validation cases that are predicted again with each modality left out."""
TOLD_EVERY_S = 30.0
FORWARD_SHARE = 0.4
"""A forward pass takes about this share of a training step, deep supervision and loss included."""


@dataclass(frozen=True)
class Effort:
    """How thorough a validation is.

    Attributes:
        mirror_axes: along which the windows are mirrored.
        tested_without: cases that are predicted again with each modality left out.
        seconds: that it takes, estimated.
    """

    mirror_axes: Sequence[int]
    tested_without: frozenset[str]
    seconds: float


class ValidationEstimate:
    """What the final validation will take.

    Args:
        job: whose validation cases.
        network: whose divisor bounds the windows.
    """

    def __init__(self, job: TrainingJob, network: nn.Module) -> None:
        configuration = job.configuration
        inference, hours = configuration.inference, configuration.training.max_hours
        self._limit_s = math.inf if hours is None else BUDGET_SHARE * 3600 * hours
        self._mirror_axes, self._complete = inference.mirror_axes, _tested_without(job)
        self._fixed_s, self._windows, tested = 3.0, 0, 0
        for name in job.validation_cases:
            placement = job.store.properties(name).placement
            window = window_size(placement.shape, inference.patch_size, divisor_of(network))
            windows = len(window_starts(placement.shape, window, inference.overlap))
            self._windows += windows
            tested += windows if name in self._complete else 0
            self._fixed_s += 1e-8 * math.prod(placement.study_shape)
        if configuration.postprocessing and job.validation_cases and hours is not None:
            self._fixed_s += _postprocessing_s(job, network)
        self._tests = tested * (1 + len(configuration.modalities))
        voxels = np.mean([math.prod(entry.patch_size) * entry.batch_size for entry in configuration.pool])
        self._steps_a_forward = FORWARD_SHARE * math.prod(inference.patch_size) / float(voxels)

    def effort(self, step_s: float) -> Effort:
        """The most thorough validation that takes at most a quarter of the fold's budget, if it has one.

        First the test without each modality is given up, then mirroring.

        Args:
            step_s: seconds of a training step.
        """
        all_passes = 2 ** len(self._mirror_axes) * self._windows
        efforts = [
            Effort(self._mirror_axes, self._complete, self._seconds(all_passes + self._tests, step_s)),
            Effort(self._mirror_axes, frozenset(), self._seconds(all_passes, step_s)),
            Effort((), frozenset(), self._seconds(self._windows, step_s)),
        ]
        return next((effort for effort in efforts if effort.seconds <= self._limit_s), efforts[-1])

    def _seconds(self, forwards: int, step_s: float) -> float:
        return 1.2 * (self._fixed_s + forwards * self._steps_a_forward * step_s)


def _postprocessing_s(job: TrainingJob, network: nn.Module) -> float:
    """What the postprocessing of all validation cases will take, by that of the first, its own mask as the prediction."""
    name = job.validation_cases[0]
    regions = job.plan.convention.to_regions(np.asarray(job.store.mask(name)[:])).astype(np.float32)
    axis = getattr(network, "slice_axis", None)
    slices = None
    if axis is not None:
        in_plane = tuple(d - 1 for d in in_plane_dimensions(axis))
        slices = torch.from_numpy(regions.max(in_plane))
    prediction = VolumePrediction(torch.from_numpy(np.float32(0.8) * regions), slices)
    postprocessor = Postprocessor(job.configuration.postprocessing, job.plan.convention, axis)
    started = time.perf_counter()
    postprocessor.last(prediction, case_images(job, name), job.store.properties(name).spacing_mm)
    return len(job.validation_cases) * (time.perf_counter() - started)


def validate(job: TrainingJob, network: nn.Module, step_s: float) -> Metrics:
    """Predict every validation case whole, keep its probabilities, score it on the study's own grid.

    Cases that an interrupted validation has predicted already are not predicted again.

    Args:
        job: whose validation cases and run directory.
        network: trained; on the job's device.
        step_s: seconds of a training step, by which the time is estimated; see :class:`ValidationEstimate`.
    """
    network.eval()
    steps = job.configuration.postprocessing
    postprocessor = Postprocessor(steps, job.plan.convention, getattr(network, "slice_axis", None))
    effort, told = ValidationEstimate(job, network).effort(step_s), time.perf_counter()
    wanted = 2 ** len(job.configuration.inference.mirror_axes)
    saved = " without mirroring, to keep the time" if 2 ** len(effort.mirror_axes) < wanted else ""
    _log.info("%s: validating %d cases%s.", job.title, len(job.validation_cases), saved)
    scored: dict[str, CaseMetrics] = {}
    without: dict[str, list[float]] = {modality: [] for modality in job.configuration.modalities}
    complete: list[float] = []
    for name in job.validation_cases:
        if not _scored_file(job, name).is_file():
            _predict(job, network, postprocessor, name, effort.mirror_axes)
        scores = _score(job, name)
        scored[name] = scores
        if name in effort.tested_without:
            complete.append(case_dice(job, network, name))
            for channel, modality in enumerate(job.configuration.modalities):
                without[modality].append(case_dice(job, network, name, channel))
        if time.perf_counter() - told > TOLD_EVERY_S:
            told = time.perf_counter()
            _log.info("%s: %d of %d cases validated.", job.title, len(scored), len(job.validation_cases))
    metrics = build_metrics(job.name, scored)
    _write_stages(job, postprocessor)
    write_metrics(job.run.metrics_file, metrics)
    write_score_tables(job.run.validation, metrics)
    if complete:
        write_json(
            job.run.missing_modalities_file,
            {
                "cases": len(complete),
                "complete": float(np.mean(complete)),
                "without": {modality: float(np.mean(values)) for modality, values in without.items()},
            },
        )
    return metrics


def _tested_without(job: TrainingJob) -> frozenset[str]:
    """The first cases that have all modalities of the network, if those are several."""
    if len(job.channels) < 2:
        return frozenset()
    present = {name: job.store.properties(name).present for name in job.validation_cases}
    complete = [name for name in job.validation_cases if all(present[name][channel] for channel in job.channels)]
    return frozenset(complete[:MISSING_MODALITY_CASES])


def _predict(
    job: TrainingJob, network: nn.Module, postprocessor: Postprocessor, name: str, mirror_axes: Sequence[int]
) -> None:
    """Keep the probabilities of a case as the network gives them, and, where there is postprocessing, after it.

    Beside the latter: the Dice after every step, so that it shows which step helps.
    """
    images = case_images(job, name)
    prediction = predict_case(job, network, images, mirror_axes)
    if prediction.slices is not None:
        by_region = zip(job.plan.convention.regions, prediction.slices.numpy().round(4).tolist(), strict=True)
        write_json(job.run.slice_file(name), dict(by_region))
    stages = postprocessor.stages(prediction, images, job.store.properties(name).spacing_mm)
    dice = [_keep(job, name, probabilities, index) for index, probabilities in enumerate(stages)]
    if postprocessor.names:
        write_json(job.run.stages_file(name), dict(zip(["network", *postprocessor.names], dice, strict=True)))


def _keep(job: TrainingJob, name: str, probabilities: np.ndarray, stage: int) -> dict[str, float]:
    """Write the probabilities of a stage of the postprocessing in the place of the stage before; the Dice by region."""
    placement = job.store.properties(name).placement
    quantised = to_study_box(probabilities, placement)
    path = job.run.postprocessed_file(name) if stage else job.run.probability_file(name)
    write_probabilities(path, quantised, placement.box, placement.study_shape, placement.study_spacing_mm)
    if not job.configuration.postprocessing:
        return {}
    convention = job.plan.convention
    return region_dice(convention.decide(probabilities), np.asarray(job.store.mask(name)[:]), convention)


def _score(job: TrainingJob, name: str) -> CaseMetrics:
    probabilities, box, shape = read_probabilities(_scored_file(job, name))
    plan, placement = job.plan, job.store.properties(name).placement
    case, fold = job.dataset.case(name), int(job.fold)
    spacing = placement.study_spacing_mm
    return score_probabilities(case, plan.modalities, plan.convention, probabilities, box, shape, spacing, fold)


def _scored_file(job: TrainingJob, name: str) -> Path:
    """The probabilities that are scored: after the postprocessing, if there is any."""
    has_steps = bool(job.configuration.postprocessing)
    return job.run.postprocessed_file(name) if has_steps else job.run.probability_file(name)


def _write_stages(job: TrainingJob, postprocessor: Postprocessor) -> None:
    """postprocessing.json: the mean Dice of every region after every step."""
    if not postprocessor.names:
        return
    by_case = [read_json(job.run.stages_file(name)) for name in job.validation_cases]
    stages = ["network", *postprocessor.names]
    regions = list(job.plan.convention.regions)
    write_json(
        job.run.postprocessing_file,
        {stage: {r: float(np.mean([case[stage][r] for case in by_case])) for r in regions} for stage in stages},
    )
