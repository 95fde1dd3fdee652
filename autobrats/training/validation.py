"""Whole-volume validation of a trained fold: predictions, metrics, and what a missing modality costs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

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

MISSING_MODALITY_CASES = 24
"""Validation cases that are predicted again with each modality left out."""
TOLD_EVERY_S = 30.0
FORWARD_SHARE = 0.4
"""A forward pass takes about this share of a training step, deep supervision and loss included."""


def estimate_validation(job: TrainingJob, network: nn.Module) -> Callable[[float], float]:
    """A function that estimates the final validation's seconds from those of a training step."""
    inference = job.configuration.inference
    forwards, fixed_s = 0, 3.0
    tested_without = _tested_without(job)
    for name in job.validation_cases:
        placement = job.store.properties(name).placement
        window = window_size(placement.shape, inference.patch_size, divisor_of(network))
        tests = 1 + len(job.configuration.modalities) if name in tested_without else 0
        passes = 2 ** len(inference.mirror_axes) + tests
        forwards += passes * len(window_starts(placement.shape, window, inference.overlap))
        fixed_s += 1e-8 * math.prod(placement.study_shape)
    voxels = np.mean([math.prod(entry.patch_size) * entry.batch_size for entry in job.configuration.pool])
    steps = float(FORWARD_SHARE * forwards * math.prod(inference.patch_size) / voxels)
    return lambda step_s: 1.2 * (fixed_s + steps * step_s)


def validate(job: TrainingJob, network: nn.Module) -> Metrics:
    """Predict every validation case whole, keep its probabilities, score it on the study's own grid.

    Cases that an interrupted validation has predicted already are not predicted again.

    Args:
        job: whose validation cases and run directory.
        network: trained; on the job's device.
    """
    network.eval()
    _log.info("%s: validating %d cases.", job.title, len(job.validation_cases))
    tested_without, told = _tested_without(job), time.perf_counter()
    scored: dict[str, CaseMetrics] = {}
    without: dict[str, list[float]] = {modality: [] for modality in job.configuration.modalities}
    complete: list[float] = []
    for name in job.validation_cases:
        path = job.run.probability_file(name)
        if not path.is_file():
            _predict(job, network, name)
        scores = _score(job, name)
        scored[name] = scores
        if name in tested_without:
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


def _tested_without(job: TrainingJob) -> set[str]:
    """The first cases that have all modalities of the network, if those are several."""
    if len(job.channels) < 2:
        return set()
    present = {name: job.store.properties(name).present for name in job.validation_cases}
    complete = [name for name in job.validation_cases if all(present[name][channel] for channel in job.channels)]
    return set(complete[:MISSING_MODALITY_CASES])


def _predict(job: TrainingJob, network: nn.Module, name: str) -> None:
    probabilities = _region_probabilities(job, network, name, None, job.configuration.inference.mirror_axes)
    placement = job.store.properties(name).placement
    write_probabilities(
        job.run.probability_file(name),
        to_study_box(probabilities, placement),
        placement.box,
        placement.study_shape,
        placement.study_spacing_mm,
    )


def _region_probabilities(
    job: TrainingJob, network: nn.Module, name: str, left_out: int | None, mirror_axes: list
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
