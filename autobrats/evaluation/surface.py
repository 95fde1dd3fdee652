"""Distances between the surfaces of two masks: Hausdorff distances in mm.

A mask's surface is what one erosion with the six-neighbourhood takes away, the outside of the volume counting as
background, as in medpy and MONAI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from edt import edt
from scipy.spatial import cKDTree

from autobrats.dataset.background import bounding_slices

Percentile = Literal["directed", "pooled"]
"""How a percentile Hausdorff distance is taken from the two directed sets of distances.

``directed``: the larger of the two directed percentiles. This is BraTS' definition: Menze et al. 2015
(doi:10.1109/TMI.2014.2377694), section on Hausdorff distance, with the maximum over each surface replaced by a
quantile; also the code of BraTS 2023 and MONAI. ``pooled``: the percentile of both sets together (medpy).
"""

_VOXELS_PER_POINT = 8
"""A search tree costs about as much for one surface point as two distance maps for eight voxels (measured)."""


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
    points = int(np.count_nonzero(predicted)) + int(np.count_nonzero(referred))
    directed = _by_maps if points * _VOXELS_PER_POINT > predicted.size else _by_trees
    return directed(predicted, referred, spacing_mm)


def _by_maps(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float]) -> SurfaceDistances:
    """Distances read from exact Euclidean distance maps; the cost grows with the box."""
    return SurfaceDistances(
        to_reference=edt(~reference, anisotropy=spacing_mm)[prediction],
        to_prediction=edt(~prediction, anisotropy=spacing_mm)[reference],
    )


def _by_trees(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float]
) -> SurfaceDistances:
    """Distances from nearest-neighbour searches; the cost grows with the surfaces that do not coincide."""
    apart = prediction ^ reference
    predicted, referred = _points(prediction, spacing_mm), _points(reference, spacing_mm)
    return SurfaceDistances(
        to_reference=_nearest(predicted, apart[prediction], referred),
        to_prediction=_nearest(referred, apart[reference], predicted),
    )


def _points(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Positions in mm of the true voxels, shape (points, 3), in the order of boolean indexing."""
    return np.argwhere(mask) * np.asarray(spacing_mm, np.float64)


def _nearest(points: np.ndarray, apart: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest of the others; 0 where a point is not ``apart`` from them."""
    distances = np.zeros(len(points))
    if apart.any():
        tree = cKDTree(others, balanced_tree=False, compact_nodes=False)
        distances[apart] = tree.query(points[apart])[0]
    return distances
