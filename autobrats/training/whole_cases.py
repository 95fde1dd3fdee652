"""Whole preprocessed cases, predicted by the network in training and compared with their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from autobrats.evaluation.overlap import region_dice
from autobrats.inference.sliding_window import VolumePrediction, predict_volume
from autobrats.networks.output import region_probabilities
from autobrats.preprocessing.network_input import network_input
from autobrats.training.job import TrainingJob


def case_images(job: TrainingJob, name: str, left_out: int | None = None) -> np.ndarray:
    """A case as the job's network sees it, float32 (channel, z, y, x).

    Args:
        left_out: a channel that is set to zero, as if the modality were missing.
    """
    images = network_input(np.asarray(job.store.images(name)[:]), job.channels, job.configuration.intensities)
    if left_out is not None:
        images = images.copy()
        images[left_out] = 0
    return images


def predict_case(
    job: TrainingJob, network: nn.Module, images: np.ndarray, mirror_axes: Sequence[int] = ()
) -> VolumePrediction:
    """What the network says of a case, on the network's grid.

    Args:
        network: in evaluation mode, on the job's device.
        images: of :func:`case_images`.
        mirror_axes: along which the windows are mirrored as well.
    """
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
        average=inference.mirror_average,
    )


def case_dice(job: TrainingJob, network: nn.Module, name: str, left_out: int | None = None) -> float:
    """Mean Dice over the regions of a case on the network's grid, without mirroring and postprocessing; absent in both is 1.

    Args:
        network, left_out: as above.
    """
    convention = job.plan.convention
    labels = convention.decide(predict_case(job, network, case_images(job, name, left_out)).probabilities.numpy())
    return float(np.mean(list(region_dice(labels, np.asarray(job.store.mask(name)[:]), convention).values())))
