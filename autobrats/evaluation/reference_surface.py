"""The surface of a reference, prepared once to be compared with many predictions."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from edt import edt
from scipy.spatial import cKDTree

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

    def score(self, prediction: np.ndarray) -> tuple[float, float]:
        """Dice, and HD95 in mm by BraTS' rules, of a boolean prediction on the same grid."""
        predicted = int(np.count_nonzero(prediction))
        if not predicted or not self.voxels:
            is_absent = not predicted and not self.voxels
            return float(is_absent), 0.0 if is_absent else ABSENT_MM["brats"]
        dice = 2 * int(np.count_nonzero(prediction & self.mask)) / (predicted + self.voxels)
        border = surface(prediction)
        return dice, float(max(_percentile(self._distances[border]), self._to(border)))

    @cached_property
    def _border(self) -> np.ndarray:
        """The voxels of the surface, (points, 3)."""
        return np.argwhere(surface(self.mask))

    @cached_property
    def _distances(self) -> np.ndarray:
        """Of every voxel to the reference's surface in mm, float32 (z, y, x)."""
        return edt(~surface(self.mask), anisotropy=self.spacing_mm)

    @cached_property
    def _places(self) -> np.ndarray:
        """Of the surface's voxels in the flat volume with a margin of ``NEAR``, (points,)."""
        return np.ravel_multi_index(tuple((self._border + NEAR).T), self._padded)

    @property
    def _padded(self) -> tuple[int, int, int]:
        z, y, x = (size + 2 * NEAR for size in self.mask.shape)
        return z, y, x

    @cached_property
    def _steps(self) -> list[tuple[np.ndarray, float]]:
        """Steps in the flat volume to the voxels around, those of one length together, and the lengths in mm, rising.

        Only lengths that no voxel outside the cube can undercut.
        """
        around = np.stack(np.meshgrid(*[np.arange(-NEAR, NEAR + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
        lengths = np.linalg.norm(around * self.spacing_mm, axis=1)
        _, height, width = self._padded
        flat = around @ np.array([height * width, width, 1])
        reached = np.unique(lengths[lengths < (NEAR + 1) * min(self.spacing_mm)])
        return [(flat[lengths == length], float(length)) for length in reached]

    def _to(self, border: np.ndarray) -> float:
        """The 95th percentile of the distances of the reference's surface to another one, (z, y, x).

        Neighbours are looked at in the order of their distance until enough of the surface has found its nearest: what is
        left is farther away and does not change the percentile.
        """
        padded = np.zeros(self._padded, bool)
        padded[NEAR:-NEAR, NEAR:-NEAR, NEAR:-NEAR] = border
        flat, left = padded.ravel(), self._places
        found: list[tuple[float, int]] = []
        rank = SHARE * (len(self._places) - 1)
        for steps, length in self._steps:
            hits = flat[left[:, None] + steps].any(1)
            count = int(np.count_nonzero(hits))
            if count:
                found.append((length, count))
                left = left[~hits]
                if len(self._places) - len(left) > math.ceil(rank):
                    lengths, counts = zip(*found, strict=True)
                    ends = np.cumsum(counts)
                    ranks = (math.floor(rank), math.ceil(rank))
                    low, high = (lengths[int(np.searchsorted(ends, place, "right"))] for place in ranks)
                    return low + (high - low) * (rank - ranks[0])
        points = np.argwhere(border) * self.spacing_mm
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        return _percentile(tree.query(self._border * self.spacing_mm)[0])


def _percentile(distances: np.ndarray) -> float:
    """The 95th percentile as np.percentile interpolates it, at a fraction of its overhead."""
    rank = SHARE * (len(distances) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(distances) - 1)
    ordered = np.partition(distances, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (rank - low))
