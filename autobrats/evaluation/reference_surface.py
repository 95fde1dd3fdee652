"""The surface of a reference, prepared once to be compared with many predictions."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from autobrats.dataset.distances import distances_inside
from autobrats.evaluation.cases import ABSENT_MM
from autobrats.evaluation.flat_volume import FlatGrid
from autobrats.evaluation.surface import surface

NEAR = 5
"""Voxels around a surface voxel in which another surface is looked for before a search tree is built."""
SHARE = 0.95
VOXELS_PER_POINT = 10
"""Looking one point up takes as long as merging so many voxels of two masks (measured)."""


class ReferenceRegion:
    """One region of a reference; its Dice and HD95 with predictions are those of ``score_region``, and cost a fraction.

    Args:
        mask: boolean (z, y, x).
        spacing_mm: along (z, y, x).
    """

    def __init__(self, mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> None:
        self.mask, self.spacing_mm = mask, spacing_mm
        self.voxels = int(np.count_nonzero(mask))
        self._grid = FlatGrid(mask.shape, NEAR)

    def score(self, prediction: np.ndarray) -> tuple[float, float]:
        """Dice, and HD95 in mm by BraTS' rules, of a boolean prediction on the same grid."""
        predicted = int(np.count_nonzero(prediction))
        if not predicted or not self.voxels:
            is_absent = not predicted and not self.voxels
            return float(is_absent), 0.0 if is_absent else ABSENT_MM["brats"]
        dice = 2 * int(np.count_nonzero(prediction & self.mask)) / (predicted + self.voxels)
        border = self._grid.surface(prediction)
        distances = self._distances.take(np.flatnonzero(self._grid.inside(border)))
        return dice, self._farther(_percentile(distances), border)

    @cached_property
    def _border(self) -> np.ndarray:
        """The places of the surface's voxels in the flat volume, (points,)."""
        return np.flatnonzero(self._grid.surface(self.mask))

    @cached_property
    def _distances(self) -> np.ndarray:
        """Of every voxel to the reference's surface in mm, float32, the inside of the flat volume."""
        return self._grid.inside(self._grid.flat(distances_inside(~surface(self.mask), self.spacing_mm)))

    @cached_property
    def _steps(self) -> list[tuple[np.ndarray, float]]:
        """Steps in the flat volume to the voxels around, those of one length together, and the lengths in mm, rising.

        Only lengths that no voxel outside the cube can undercut.
        """
        around = np.stack(np.meshgrid(*[np.arange(-NEAR, NEAR + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
        lengths = np.linalg.norm(around * self.spacing_mm, axis=1)
        steps = self._grid.step(around)
        reached = np.unique(lengths[lengths < (NEAR + 1) * min(self.spacing_mm)])
        return [(steps[lengths == length], float(length)) for length in reached]

    def _farther(self, distance: float, border: np.ndarray) -> float:
        """The larger of a distance and of the 95th percentile of those of the reference's surface to another one.

        The other surface is given in the flat volume. Neighbours are looked at in the order of their distance until enough of
        the surface has found its nearest: what is left is farther away and does not change the percentile.
        """
        left = self._border
        points, counts = len(left), [len(left)]
        lengths: list[float] = []
        most_left = points - math.ceil(SHARE * (points - 1)) - 1
        grown = self._grid.zeros()
        for steps, length in self._steps:
            if VOXELS_PER_POINT * len(left) < self._grid.voxels:
                hits = border.take(left + steps[:, None]).any(axis=0)
            else:
                # The distance is as long backwards, so the other surface may be moved instead.
                inside = self._grid.inside(grown)
                for step in steps.tolist():
                    inside |= self._grid.inside(border, step)
                hits = grown.take(left)
            left = left[~hits]
            lengths.append(length)
            counts.append(len(left))
            if len(left) <= most_left:
                break
        if len(left) <= most_left and lengths[-1] <= distance:
            return distance
        found = np.repeat(lengths, -np.diff(counts))
        if len(left) > most_left:
            others, rest = (self._grid.positions(places, self.spacing_mm) for places in (np.flatnonzero(border), left))
            tree = cKDTree(others, balanced_tree=False, compact_nodes=False)
            found = np.concatenate([found, tree.query(rest)[0]])
        return max(distance, _percentile(found, points))


def _percentile(distances: np.ndarray, points: int | None = None) -> float:
    """The 95th percentile as np.percentile interpolates it, at a fraction of its overhead.

    Args:
        distances: of all points, or of the nearest ones, at least 95 % of them.
        points: of how many.
    """
    rank = SHARE * ((points or len(distances)) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(distances) - 1)
    ordered = np.partition(distances, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (rank - low))
