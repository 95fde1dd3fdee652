"""Distances between the surfaces of two masks: Hausdorff distances in mm and surface Dice.

A mask's surface is what one erosion with the six-neighbourhood takes away, the outside of the volume counting as
background, as in medpy and MONAI.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.distances import distances_inside

Percentile = Literal["directed", "pooled"]
"""How a percentile Hausdorff distance is taken from the two directed sets of distances.

``directed``: the larger of the two directed percentiles. This is BraTS' definition: Menze et al. 2015
(doi:10.1109/TMI.2014.2377694), section on Hausdorff distance, with the maximum over each surface replaced by a
quantile; also the code of BraTS 2023 and MONAI. ``pooled``: the percentile of both sets together (medpy).
"""

_CLOSE_BY = 2.0
"""A nearest voxel within so many voxels (their geometric mean size) is looked up among some 30 neighbours."""

_VOXELS_PER_POINT = 30
"""Searching one far point's neighbour in a tree costs about as much as a distance map of thirty voxels (measured)."""

_ROUNDING = 1e-6
"""A distance that exceeds the tolerance by no more than this share does so by rounding (one voxel of 1.3 mm)."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm of each surface voxel to the nearest surface voxel of the other mask.

    Attributes:
        to_reference: from the prediction's surface, shape (points,).
        to_prediction: from the reference's surface, shape (points,).
    """

    to_reference: np.ndarray
    to_prediction: np.ndarray

    def hausdorff(self, percentile: float = 100.0, definition: Percentile = "directed") -> float:
        """The Hausdorff distance in mm at a percentile: 100 is the maximum, 95 the field's HD95."""
        if definition == "pooled":
            return float(np.percentile(np.concatenate([self.to_reference, self.to_prediction]), percentile))
        return float(max(np.percentile(self.to_reference, percentile), np.percentile(self.to_prediction, percentile)))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Normalised surface Dice: the share of both surfaces that is no farther than the tolerance from the other.

        Nikolov et al. 2021 (doi:10.2196/26151), with a surface's area taken as its number of voxels, as in MONAI.

        Raises:
            ValueError: if the tolerance is negative.
        """
        if tolerance_mm < 0:
            raise ValueError(f"the tolerance must not be negative: {tolerance_mm} mm")
        limit = tolerance_mm * (1 + _ROUNDING)
        near = np.count_nonzero(self.to_reference <= limit) + np.count_nonzero(self.to_prediction <= limit)
        return float(near / (len(self.to_reference) + len(self.to_prediction)))


def surface(mask: np.ndarray) -> np.ndarray:
    """The boolean surface of a boolean mask, shape (z, y, x)."""
    padded = np.pad(mask, 1)
    inside = padded[2:, 1:-1, 1:-1] & padded[:-2, 1:-1, 1:-1]
    inside &= padded[1:-1, 2:, 1:-1]
    inside &= padded[1:-1, :-2, 1:-1]
    inside &= padded[1:-1, 1:-1, 2:]
    inside &= padded[1:-1, 1:-1, :-2]
    return mask & ~inside


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float]
) -> SurfaceDistances:
    """Both directed sets of surface distances of two boolean masks, shape (z, y, x).

    Raises:
        ValueError: if the shapes differ or a mask is empty (an empty mask has no surface).
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"the masks' shapes differ: {prediction.shape} and {reference.shape}")
    box = bounding_slices(prediction | reference)
    if box is None or not prediction.any() or not reference.any():
        raise ValueError("an empty mask has no surface")
    predicted, referred = surface(prediction[box]), surface(reference[box])
    return SurfaceDistances(
        to_reference=_nearest(predicted, referred, spacing_mm),
        to_prediction=_nearest(referred, predicted, spacing_mm),
    )


def distances_of_points(prediction: np.ndarray, reference: np.ndarray) -> SurfaceDistances:
    """Both directed sets of distances of two surfaces given as :func:`positions`, shape (points, 3), none empty."""
    return SurfaceDistances(to_reference=_search(prediction, reference), to_prediction=_search(reference, prediction))


def positions(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Positions in mm of the true voxels, shape (points, 3), in the order of boolean indexing."""
    return _indices(mask) * np.asarray(spacing_mm, np.float64)


def _nearest(points: np.ndarray, others: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Distance in mm of each true voxel of ``points`` to the nearest of ``others``, in the order of boolean indexing.

    The neighbours of all points are looked up, the nearest first; who has none close by is searched for.
    """
    neighbours = _neighbours(*spacing_mm)
    reach = neighbours.max(axis=0)
    padded = np.pad(others, [(width, width) for width in reach])
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    indices = _indices(points)
    spots, rest = (indices + reach) @ strides, np.arange(len(indices))
    distances = np.empty(len(indices))
    lengths = np.linalg.norm(neighbours * np.asarray(spacing_mm, np.float64), axis=1)
    for step, length in zip(neighbours @ strides, lengths, strict=True):
        found = padded.ravel()[spots + step]
        distances[rest[found]] = length
        spots, rest = spots[~found], rest[~found]
        if not len(rest):
            return distances
    if len(rest) * _VOXELS_PER_POINT > others.size:
        distances[rest] = distances_inside(~others, spacing_mm)[tuple(indices[rest].T)]
    else:
        distances[rest] = _search(indices[rest] * np.asarray(spacing_mm, np.float64), positions(others, spacing_mm))
    return distances


@lru_cache(maxsize=64)
def _neighbours(*spacing_mm: float) -> np.ndarray:
    """All offsets in voxels, shape (offsets, 3), within :data:`_CLOSE_BY`, the nearest first; (0, 0, 0) leads."""
    spacing = np.asarray(spacing_mm, np.float64)
    radius = _CLOSE_BY * np.cbrt(spacing.prod())
    reach = np.floor(radius / spacing).astype(int)
    offsets = np.indices(2 * reach + 1).reshape(3, -1).T - reach
    lengths = np.linalg.norm(offsets * spacing, axis=1)
    order = np.argsort(lengths, kind="stable")
    return offsets[order[lengths[order] <= radius]]


def _search(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest of the others, both in mm, shape (points, 3)."""
    return np.asarray(cKDTree(others, balanced_tree=False, compact_nodes=False).query(points)[0])


def _indices(mask: np.ndarray) -> np.ndarray:
    """What argwhere gives, in a third of its time."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)
