"""Which voxels of an image carry signal: everything that differs from the constant around the brain."""

from __future__ import annotations

import numpy as np

Box = list[list[int]]
"""[[z0, z1], [y0, y1], [x0, x1]], voxels, the end excluded."""


def background_value(image: np.ndarray) -> float:
    """The value that fills all eight corners of an image, shape (z, y, x); else 0.

    It is 0 in skull-stripped images and another constant in images that were z-scored afterwards.
    """
    corners = image[np.ix_((0, -1), (0, -1), (0, -1))].ravel()
    return float(corners[0]) if (corners == corners[0]).all() else 0.0


def foreground(image: np.ndarray) -> np.ndarray:
    """Which voxels of an image differ from its background: bool, shape (z, y, x)."""
    return image != image.dtype.type(background_value(image))


def bounding_box(mask: np.ndarray) -> Box:
    """The smallest box that holds every True voxel of a mask, shape (z, y, x); the whole volume if there is none."""
    box = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        box.append([int(hits[0]), int(hits[-1]) + 1] if hits.size else [0, mask.shape[axis]])
    return box
