"""A volume in one row with a margin, in which a voxel's neighbour is a step along the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class FlatGrid:
    """How volumes of one shape lie in a row.

    Behind each line and each slice, and at both ends, lie so many voxels of nothing as the margin says: no step to a
    neighbour within the margin reaches a voxel of another line. The neighbours of all voxels in one direction are then one
    contiguous part of the row, which is taken in at the speed of memory.

    Args:
        shape: (z, y, x).
        margin: voxels.

    Attributes:
        voxels: of the row without the margins at its ends.
    """

    def __init__(self, shape: Sequence[int], margin: int) -> None:
        z, self._y, self._x = shape
        self._block = (z, self._y + margin, self._x + margin)
        self._strides = np.array([self._block[1] * self._block[2], self._block[2], 1])
        self.voxels = z * int(self._strides[0])
        self._start = margin * int(self._strides.sum())

    def flat(self, volume: np.ndarray) -> np.ndarray:
        """The row of a volume, (z, y, x); zeros in the margins."""
        row = self.zeros(volume.dtype)
        self.inside(row).reshape(self._block)[:, : self._y, : self._x] = volume
        return row

    def zeros(self, dtype: np.dtype | type = np.bool_) -> np.ndarray:
        """The row of an empty volume."""
        return np.zeros(self.voxels + 2 * self._start, dtype)

    def inside(self, row: np.ndarray, step: int = 0) -> np.ndarray:
        """A view of a row without the margins at its ends, moved by a step: of each voxel, that neighbour."""
        return row[self._start + step : self._start + step + self.voxels]

    def step(self, offsets: np.ndarray) -> np.ndarray:
        """The steps, (...,), to neighbours at offsets in voxels along (z, y, x), (..., 3)."""
        return offsets @ self._strides

    def surface(self, mask: np.ndarray) -> np.ndarray:
        """The row of what :func:`~autobrats.evaluation.surface.surface` gives of a boolean mask, (z, y, x)."""
        row = self.flat(mask)
        first, *others = (int(sign * stride) for stride in self._strides for sign in (1, -1))
        inside = self.inside(row, first).copy()
        for step in others:
            inside &= self.inside(row, step)
        border = self.zeros()
        np.greater(self.inside(row), inside, out=self.inside(border))
        return border

    def positions(self, places: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
        """Of places in a row, (points,), the positions in mm, (points, 3)."""
        return np.stack(np.unravel_index(places - self._start, self._block), axis=1) * spacing_mm
