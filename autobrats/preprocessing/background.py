"""Where a study has no signal: the background value of each modality, and the box of the brain inside it."""

from __future__ import annotations

import numpy as np

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""(start, stop) in voxels along (z, y, x)."""

MINIMUM_SHARE = 0.01
"""A single modality has a background only if so large a share of its voxels holds the background value."""


def foreground(images: np.ndarray, present: list[bool]) -> np.ndarray | None:
    """Which voxels of each modality carry signal, or None if the study has no background.

    A modality's background value is the one that fills all eight corners of its volume (zero in skull-stripped
    studies, another constant in z-scored ones), else zero. In one modality alone single voxels may hold that value
    by chance, so there it must fill a hundredth of the volume; several modalities that hold it together are outside
    the brain.

    Args:
        images: float, (modality, z, y, x).
        present: which modalities exist; the others are zero everywhere.

    Returns:
        bool, (modality, z, y, x), False everywhere in missing modalities.
    """
    signal = np.zeros(images.shape, bool)
    for index in np.flatnonzero(present):
        np.not_equal(images[index], _background_value(images[index]), out=signal[index])
    background = 1.0 - signal.any(0).mean()
    if background == 1.0 or background < (MINIMUM_SHARE if sum(present) == 1 else np.finfo(float).tiny):
        return None
    return signal


def bounding_box(mask: np.ndarray) -> Box:
    """The smallest box that holds every True voxel of a (z, y, x) mask; the whole volume if there is none."""
    box = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        box.append((int(hits[0]), int(hits[-1]) + 1) if hits.size else (0, mask.shape[axis]))
    return (box[0], box[1], box[2])


def _background_value(image: np.ndarray) -> float:
    corners = image[np.ix_(*((0, -1),) * 3)].ravel()
    return float(corners[0]) if (corners == corners[0]).all() else 0.0
