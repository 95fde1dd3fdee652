"""A volume as a row of bits with a margin, in which a voxel's neighbour is a step along the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WORD = "<u8"
"""Bits are moved and counted by 64, the first voxel in the lowest bit."""


class BitGrid:
    """How boolean volumes of one shape lie in a row of bits.

    Behind each line and each slice, and at both ends, lie at least so many voxels of nothing as the margin says: no step to a
    neighbour within the margin reaches a voxel of another line. The neighbours of all voxels in one direction are then one
    contiguous part of the row. Lines are whole bytes, so that only a step along x moves bits within them.

    Args:
        shape: (z, y, x).
        margin: voxels.

    Attributes:
        line, slice: their bytes.
    """

    def __init__(self, shape: Sequence[int], margin: int) -> None:
        z, self._y, self._x = shape
        self._block = (z, self._y + margin, _round_up(self._x + margin, 8))
        self.line, self.slice = self._block[2] // 8, self._block[1] * self._block[2] // 8
        self._start = _round_up(margin * (self.slice + self.line + 1), 8)
        self._size = _round_up(z * self.slice, 8)

    def pack(self, mask: np.ndarray) -> np.ndarray:
        """The row, uint8, of a boolean volume, (z, y, x)."""
        row = self._empty()
        self.inside(row)[...] = np.packbits(self.flat(mask), bitorder="little")
        return row

    def flat(self, volume: np.ndarray) -> np.ndarray:
        """A volume of any type, (z, y, x), voxel by voxel, as :meth:`inside` of a row has it; zeros in the margins."""
        voxels = np.zeros(8 * self._size, volume.dtype)
        voxels[: 8 * self._block[0] * self.slice].reshape(self._block)[:, : self._y, : self._x] = volume
        return voxels

    def inside(self, row: np.ndarray, by: int = 0) -> np.ndarray:
        """A view of a row without the margins at its ends, moved by so many bytes."""
        return row[self._start + by : self._start + by + self._size]

    def surface(self, row: np.ndarray) -> np.ndarray:
        """The row of what :func:`~autobrats.evaluation.surface.surface` gives of a row's mask."""
        outside = Surroundings(self, ~row)
        exposed = outside.at(0, 0, 1) | outside.at(0, 1, 0)
        exposed |= outside.at(1, 0, 0)
        border = self._empty()
        np.bitwise_and(self.inside(row), exposed, out=self.inside(border))
        return border

    def places(self, inside: np.ndarray) -> np.ndarray:
        """Where the bits of :meth:`inside` of a row are set, (points,): voxels from its beginning."""
        return np.flatnonzero(np.unpackbits(inside, bitorder="little").view(bool))

    def positions(self, places: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
        """Of :meth:`places`, (points,), the positions in mm, (points, 3)."""
        return np.stack(np.unravel_index(places, self._block), axis=1) * spacing_mm

    def _empty(self) -> np.ndarray:
        return np.zeros(2 * self._start + self._size, np.uint8)


class Surroundings:
    """Which voxels have one of a row's at a distance.

    Args:
        grid: of the row.
        row: of bits.
    """

    def __init__(self, grid: BitGrid, row: np.ndarray) -> None:
        self._grid = grid
        self._planes = {(0, 0): row}

    def at(self, z: int, y: int, x: int) -> np.ndarray:
        """Bits between the row's margins: whether the row has a voxel that many away, backwards or forwards, on each axis.

        No distance may exceed the grid's margin.
        """
        plane, inside, step = self._plane(y, x), self._grid.inside, z * self._grid.slice
        return inside(plane, -step) | inside(plane, step) if z else inside(plane)

    def _plane(self, y: int, x: int) -> np.ndarray:
        """The same within slices, of the whole row."""
        known = self._planes.get((y, x))
        if known is None:
            known = _moved_lines(self._plane(0, x), y * self._grid.line) if y else _moved_bits(self._planes[0, 0], x)
            self._planes[y, x] = known
        return known


def _moved_bits(row: np.ndarray, by: int) -> np.ndarray:
    words = row.view(_WORD)
    moved = words >> by
    moved |= words << by
    moved[:-1] |= words[1:] << (64 - by)
    moved[1:] |= words[:-1] >> (64 - by)
    return moved.view(np.uint8)


def _moved_lines(row: np.ndarray, by: int) -> np.ndarray:
    moved = np.zeros_like(row)
    moved[by:] = row[:-by]
    moved[:-by] |= row[by:]
    return moved


def count_bits(inside: np.ndarray) -> int:
    """How many bits of :meth:`BitGrid.inside` of a row are set."""
    return int(np.bitwise_count(inside.view(_WORD)).sum())


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
