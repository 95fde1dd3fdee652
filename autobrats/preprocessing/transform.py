"""From a study's voxels to the network's grid, and from the network's probabilities back to the study's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.dataset.background import bounding_box
from autobrats.plan import Normalisation, Preprocessing
from autobrats.preprocessing.background import foreground
from autobrats.preprocessing.normalisation import normalise
from autobrats.preprocessing.resampling import (
    Shape,
    resample_image,
    resample_labels,
    resampled_shape,
    resampled_slabs,
)

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""(start, stop) in voxels along (z, y, x)."""

SLAB = 16
"""Slices that are brought back to the study's grid at a time."""


class Placement(BaseModel):
    """Where the network's grid lies in a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_shape: Shape
    """Voxels of the study in canonical axes (z, y, x)."""
    study_spacing_mm: tuple[float, float, float]
    box: Box
    """The part of the study that the network sees: (start, stop) along (z, y, x)."""
    shape: Shape
    """Voxels of the network's grid, which covers the box."""
    spacing_mm: tuple[float, float, float]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index of a (z, y, x) array."""
        z, y, x = self.box
        return (slice(*z), slice(*y), slice(*x))

    @property
    def box_shape(self) -> Shape:
        """Voxels of the box on the study's grid."""
        z, y, x = self.box
        return (z[1] - z[0], y[1] - y[0], x[1] - x[0])


@dataclass(frozen=True)
class Prepared:
    """A study on the network's grid.

    Attributes:
        images: float32, (modality, z, y, x); the background and missing modalities are 0.
        present: which modalities exist.
        placement: where the grid lies in the study.
    """

    images: np.ndarray
    present: list[bool]
    placement: Placement


def preprocess(
    images: np.ndarray,
    present: Sequence[bool],
    spacing_mm: Sequence[float],
    plan: Preprocessing,
    modalities: Sequence[str],
) -> Prepared:
    """Crop to the brain, normalise inside it, and resample where the spacing differs from the plan's.

    Args:
        images: float32, (modality, z, y, x), zeros for a missing modality.
        present: which modalities exist.
        spacing_mm: of the study, along (z, y, x).
        plan: what to do.
        modalities: names of the channels; one that the plan does not know is z-scored.
    """
    present = [bool(exists) for exists in present]
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    study_shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    signal = foreground(images, present)
    box: Box = ((0, study_shape[0]), (0, study_shape[1]), (0, study_shape[2]))
    if plan.crop_to_brain and signal is not None:
        z, y, x = bounding_box(np.asarray(signal.any(0)))
        box = ((z[0], z[1]), (y[0], y[1]), (x[0], x[1]))
    box_shape = (box[0][1] - box[0][0], box[1][1] - box[1][0], box[2][1] - box[2][0])
    shape = resampled_shape(box_shape, spacing, plan.spacing_mm)
    placement = Placement(
        study_shape=study_shape,
        study_spacing_mm=spacing,
        box=box,
        shape=shape,
        spacing_mm=(
            spacing[0] * box_shape[0] / shape[0],
            spacing[1] * box_shape[1] / shape[1],
            spacing[2] * box_shape[2] / shape[2],
        ),
    )
    result = np.zeros((len(images), *shape), np.float32)
    for index, modality in enumerate(modalities):
        if not present[index]:
            continue
        inside = None if signal is None else signal[index][placement.slices]
        image = normalise(images[index][placement.slices], inside, plan.normalisation.get(modality, Normalisation()))
        if shape != box_shape:
            image = resample_image(image, shape, spacing)
            if inside is not None:
                image[resample_labels(inside.view(np.uint8), shape) == 0] = 0
        result[index] = image
    return Prepared(result, present, placement)


def preprocess_mask(labels: np.ndarray, placement: Placement) -> np.ndarray:
    """A mask, uint8 (z, y, x) on the study's grid, on the network's grid."""
    return np.ascontiguousarray(resample_labels(np.ascontiguousarray(labels[placement.slices]), placement.shape))


def to_study_box(probabilities: np.ndarray, placement: Placement) -> np.ndarray:
    """Region probabilities on the study's grid inside the box, slab by slab, quantised to uint8 (0..255).

    Args:
        probabilities: float in 0..1, (region, z, y, x) on the network's grid.

    Returns:
        uint8, (region, \\*placement.box_shape).
    """
    if probabilities.shape[1:] != placement.shape:
        raise ValueError(f"probabilities of shape {probabilities.shape[1:]} for a grid of {placement.shape}")
    result = np.empty((len(probabilities), *placement.box_shape), np.uint8)
    for slices, values in resampled_slabs(probabilities, placement.box_shape, SLAB):
        levels = values * np.float32(255)
        result[:, slices] = np.rint(levels, out=levels)
    return result


def in_study_box(images: np.ndarray, placement: Placement) -> np.ndarray:
    """Images, float32 (modality, z, y, x) on the network's grid, on the study's grid inside the box."""
    if placement.shape == placement.box_shape:
        return images
    return np.stack([resample_image(image, placement.box_shape, placement.spacing_mm) for image in images])
