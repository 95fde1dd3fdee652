"""The surface of a reference, prepared once to be compared with many predictions."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from autobrats.dataset.distances import distances_inside
from autobrats.evaluation.bit_volume import BitGrid, Surroundings, count_bits
from autobrats.evaluation.cases import ABSENT_MM
from autobrats.evaluation.surface import surface

NEAR = 5
"""Voxels around a surface voxel in which another surface is looked for before a search tree is built."""
SHARE = 0.95


class ReferenceRegion:
    """One region of a reference; its Dice and HD95 with predictions are those of ``score_region``, and cost a fraction.

    Args:
        mask: boolean (z, y, x).
        spacing_mm: along (z, y, x).
    """

    def __init__(self, mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> None:
        self.mask, self.spacing_mm = mask, spacing_mm
        self.voxels = int(np.count_nonzero(mask))
        self._grid = BitGrid(mask.shape, NEAR)

    def score(self, prediction: np.ndarray) -> tuple[float, float]:
        """Dice, and HD95 in mm by BraTS' rules, of a boolean prediction on the same grid."""
        predicted = int(np.count_nonzero(prediction))
        if not predicted or not self.voxels:
            is_absent = not predicted and not self.voxels
            return float(is_absent), 0.0 if is_absent else ABSENT_MM["brats"]
        dice = 2 * int(np.count_nonzero(prediction & self.mask)) / (predicted + self.voxels)
        border = self._grid.surface(self._grid.pack(prediction))
        places = self._grid.places(self._grid.inside(border))
        return dice, self._farther(_percentile(self._distances.take(places)), border, places)

    @cached_property
    def _border(self) -> np.ndarray:
        """The surface, bits between the margins of the row."""
        return self._grid.inside(self._grid.surface(self._grid.pack(self.mask)))

    @cached_property
    def _points(self) -> int:
        """Voxels of the surface."""
        return count_bits(self._border)

    @cached_property
    def _distances(self) -> np.ndarray:
        """Of every voxel to the reference's surface in mm, float32, between the margins of the row."""
        return self._grid.flat(distances_inside(~surface(self.mask), self.spacing_mm))

    @cached_property
    def _offsets(self) -> list[tuple[float, list[list[int]]]]:
        """Lengths in mm, rising, each with the offsets in voxels along (z, y, x) that are so long, but for their signs.

        Only lengths that no voxel outside the cube can undercut.
        """
        offsets = np.indices((NEAR + 1,) * 3).reshape(3, -1).T
        lengths = np.linalg.norm(offsets * self.spacing_mm, axis=1)
        reached = np.unique(lengths[lengths < (NEAR + 1) * min(self.spacing_mm)])
        return [(float(length), offsets[lengths == length].tolist()) for length in reached]

    def _farther(self, distance: float, border: np.ndarray, places: np.ndarray) -> float:
        """The larger of a distance and of the 95th percentile of those of the reference's surface to another one.

        The other surface is given as a row and its places. Neighbours are looked at in the order of their distance until
        enough of the surface has found its nearest: what is left is farther away and does not change the percentile.
        """
        near, surroundings = np.zeros_like(self._border), Surroundings(self._grid, border)
        low, high, between = _ranks(self._points)
        lengths: list[float] = []
        found: list[int] = []
        for length, offsets in self._offsets:
            for offset in offsets:
                near |= surroundings.at(*offset)
            left = self._border & ~near
            lengths.append(length)
            found.append(self._points - count_bits(left))
            if found[-1] > high:
                break
        if found[-1] > high:
            lower, upper = (lengths[bisect_right(found, rank)] for rank in (low, high))
            return max(distance, lower + between * (upper - lower))
        others, rest = (self._grid.positions(own, self.spacing_mm) for own in (places, self._grid.places(left)))
        farther = cKDTree(others, balanced_tree=False, compact_nodes=False).query(rest)[0]
        nearer = np.repeat(lengths, np.diff(found, prepend=0))
        return max(distance, _percentile(np.concatenate([nearer, farther])))


def _percentile(distances: np.ndarray) -> float:
    """The 95th percentile as np.percentile interpolates it, at a fraction of its overhead."""
    low, high, between = _ranks(len(distances))
    ordered = np.partition(distances, (low, high))
    return float(ordered[low] + between * (ordered[high] - ordered[low]))


def _ranks(points: int) -> tuple[int, int, float]:
    """The two ranks between which the 95th percentile of so many values lies, and how far from the first."""
    rank = SHARE * (points - 1)
    low = math.floor(rank)
    return low, min(low + 1, points - 1), rank - low
