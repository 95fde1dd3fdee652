"""Whole-volume validation of a trained fold: predictions, metrics, and what a missing modality costs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from autobrats.dataset.volumes import read_mask, read_volume
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.metrics_file import CaseMetrics, Metrics, build_metrics, case_metrics, write_metrics
from autobrats.evaluation.overlap import Overlap
from autobrats.evaluation.probability_file import read_probabilities, to_volume, write_probabilities
from autobrats.files import write_json
from autobrats.inference.sliding_window import predict_volume, window_size, window_starts
from autobrats.networks.building import divisor_of
from autobrats.networks.output import region_probabilities
from autobrats.preprocessing.transform import to_study_box
from autobrats.training.job import TrainingJob

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


def validate(job: TrainingJob, network: nn.Module, step_s: float) -> Metrics:
    """Predict every validation case whole, keep its probabilities, score it on the study's own grid.

    Cases that an interrupted validation has predicted already are not predicted again.

    Args:
        job: whose validation cases and run directory.
        network: trained; on the job's device.
        step_s: seconds of a training step, by which the time is estimated; see :class:`ValidationEstimate`.
    """
    network.eval()
    effort, told = ValidationEstimate(job, network).effort(step_s), time.perf_counter()
    wanted = 2 ** len(job.configuration.inference.mirror_axes)
    saved = " without mirroring, to keep the time" if 2 ** len(effort.mirror_axes) < wanted else ""
    _log.info("%s: validating %d cases%s.", job.title, len(job.validation_cases), saved)
    scored: dict[str, CaseMetrics] = {}
    without: dict[str, list[float]] = {modality: [] for modality in job.configuration.modalities}
    complete: list[float] = []
    for name in job.validation_cases:
        path = job.run.probability_file(name)
        if not path.is_file():
            _predict(job, network, name, effort.mirror_axes)
        scores = _score(job, name)
        scored[name] = scores
        if name in effort.tested_without:
            complete.append(_quick_dice(job, network, name, None))
            for channel, modality in enumerate(job.configuration.modalities):
                without[modality].append(_quick_dice(job, network, name, channel))
        if time.perf_counter() - told > TOLD_EVERY_S:
            told = time.perf_counter()
            _log.info("%s: %d of %d cases validated.", job.title, len(scored), len(job.validation_cases))
    metrics = build_metrics(job.name, scored)
    write_metrics(job.run.metrics_file, metrics)
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


def _predict(job: TrainingJob, network: nn.Module, name: str, mirror_axes: Sequence[int]) -> None:
    probabilities = _region_probabilities(job, network, name, None, mirror_axes)
    placement = job.store.properties(name).placement
    write_probabilities(
        job.run.probability_file(name),
        to_study_box(probabilities, placement),
        placement.box,
        placement.study_shape,
        placement.study_spacing_mm,
    )


def _region_probabilities(
    job: TrainingJob, network: nn.Module, name: str, left_out: int | None, mirror_axes: Sequence[int]
) -> np.ndarray:
    images = np.asarray(job.store.images(name)[:])[job.channels].astype(np.float32)
    if left_out is not None:
        images[left_out] = 0
    inference = job.configuration.inference
    return predict_volume(
        network,
        torch.from_numpy(images),
        patch_size=inference.patch_size,
        overlap=inference.overlap,
        mirror_axes=mirror_axes,
        batch_size=inference.batch_size,
        to_probabilities=lambda logits: region_probabilities(logits, job.configuration.output, job.plan.convention),
        device=job.device,
    ).numpy()


def _score(job: TrainingJob, name: str) -> CaseMetrics:
    probabilities, box, shape = read_probabilities(job.run.probability_file(name))
    case = job.dataset.case(name)
    assert case.mask is not None
    labels = to_volume(job.plan.convention.decide(probabilities)[None], box, shape)[0]
    placement = job.store.properties(name).placement
    # A mask without a position of its own is oriented like the study's first image, as in preprocessing.
    first = next(case.images[modality] for modality in job.plan.modalities if modality in case.images)
    reference = read_mask(case.mask, read_volume(first).geometry)
    scores = score_case(labels, reference, job.plan.convention, placement.study_spacing_mm)
    return case_metrics(case.patient, scores, int(job.fold))


def _quick_dice(job: TrainingJob, network: nn.Module, name: str, left_out: int | None) -> float:
    """Mean Dice over the regions on the network's grid, without mirroring."""
    probabilities = _region_probabilities(job, network, name, left_out, [])
    labels = job.plan.convention.decide(probabilities)
    reference = np.asarray(job.store.mask(name)[:])
    predicted, true = job.plan.convention.to_regions(labels) > 0, job.plan.convention.to_regions(reference) > 0
    return float(np.mean([Overlap.of(p, t).metrics()["dice"] for p, t in zip(predicted, true, strict=True)]))
