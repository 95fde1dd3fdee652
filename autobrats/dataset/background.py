"""Which voxels of an image carry signal: everything that differs from the constant around the brain."""

from __future__ import annotations

import numpy as np

Box = list[list[int]]
"""[[z0, z1], [y0, y1], [x0, x1]], voxels, the end excluded."""

SMALLEST_BACKGROUND = 0.01
"""A study has a background if at least this share of its voxels carries no signal in any modality."""


def background_value(image: np.ndarray) -> float:
    """The value that fills all eight corners of an image, shape (z, y, x); else 0.

    It is 0 in skull-stripped images and another constant in images that were z-scored afterwards.
    """
    corners = image[np.ix_((0, -1), (0, -1), (0, -1))].ravel()
    return float(corners[0]) if (corners == corners[0]).all() else 0.0


def foreground(image: np.ndarray) -> np.ndarray:
    """Which voxels of an image differ from its background: bool, shape (z, y, x)."""
    return image != image.dtype.type(background_value(image))


def is_bounded(signal: np.ndarray) -> bool:
    """Whether a study has a background around its brain.

    Args:
        signal: bool, (z, y, x): voxels that carry signal in any modality.
    """
    return bool(1 - np.count_nonzero(signal) / signal.size >= SMALLEST_BACKGROUND)


def bounding_box(mask: np.ndarray) -> Box:
    """The smallest box that holds every True voxel of a mask, shape (z, y, x); the whole volume if there is none."""
    slices = bounding_slices(mask)
    if slices is None:
        return [[0, size] for size in mask.shape]
    return [[part.start, part.stop] for part in slices]


def bounding_slices(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box around the non-zero voxels of a volume, (z, y, x); None if there are none."""
    plane = np.asarray(mask.any(axis=0))
    profiles = (mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))
    ends = [np.flatnonzero(profile) for profile in profiles]
    if not len(ends[0]):
        return None
    z, y, x = (slice(int(end[0]), int(end[-1]) + 1) for end in ends)
    return z, y, x
