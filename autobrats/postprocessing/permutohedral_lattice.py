"""Gaussian filtering of points in a space of many dimensions on the permutohedral lattice."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array

_CHUNK = 1 << 17
"""Points that are placed at a time; it bounds the memory, not the result."""


class PermutohedralLattice:
    """Approximates sum_j exp(-|f_i - f_j|^2 / 2) v_j for every point i in time linear in the points.

    Adams, Baek and Davis (Eurographics 2010): every point gives its value to the corners of the simplex it lies in, by
    its barycentric weights; the corners are blurred with [1, 2, 1] / 4 along each of the lattice's d + 1 directions; and
    every point gathers from its corners. With the features stretched by (d + 1) sqrt(2/3) the three steps have together
    the variance 1 (section 3 there), and times (4 pi / 3)^(d/2) sqrt(d + 1) the integral of the Gaussian above:
    a corner of the lattice owns the volume (d + 1)^(d - 1/2), that is (3/2)^(d/2) / sqrt(d + 1) in units of the features,
    and the Gaussian's integral is (2 pi)^(d/2).

    Only corners of simplices that hold a point exist; what would be blurred into others is lost, which makes values
    smaller where points are sparse. Filtering ones tells how much, and dividing by it corrects it.

    Args:
        features: float, (point, dimension), in units of the Gaussian's standard deviation along each dimension.

    Raises:
        ValueError: if the features are not finite, or spread over so many standard deviations that the lattice's corners
            cannot be numbered in 64 bits.
    """

    def __init__(self, features: np.ndarray) -> None:
        points, dimensions = features.shape
        self.gain = (4 * math.pi / 3) ** (dimensions / 2) * math.sqrt(dimensions + 1)
        embedding = _embedding(dimensions)
        strides, lowest = _numbering(features, embedding)
        keys = np.empty((points, dimensions + 1), np.int64)
        weights = np.empty((points, dimensions + 1), np.float32)
        for start in range(0, points, _CHUNK):
            part = slice(start, start + _CHUNK)
            keys[part], weights[part] = _corners(features[part] @ embedding, strides, lowest)
        corners, places = np.unique(keys, return_inverse=True)
        del keys
        self.self_weights = _self_weights(weights) * np.float32(self.gain)
        """How much of its own value a point gets, (point,): about 1; an upper bound where points are sparse."""
        self._weights = csr_array(
            (
                weights.ravel(),
                places.ravel().astype(np.int32),
                np.arange(0, weights.size + 1, dimensions + 1, dtype=np.int32),
            ),
            shape=(points, len(corners)),
        )
        self._neighbours = _neighbours(corners, strides)

    @property
    def corners(self) -> int:
        """How many corners of the lattice hold a value."""
        return int(self._weights.shape[1])

    def filter(self, values: np.ndarray) -> np.ndarray:
        """The filtered values, float32, of values of shape (point, channel)."""
        splat = np.zeros((self.corners + 1, values.shape[1]), np.float32)  # the last row stands for missing corners
        splat[:-1] = self._weights.T @ values.astype(np.float32, copy=False)
        for before, after in self._neighbours:
            blurred = splat[before]
            blurred += splat[after]
            blurred *= 0.25
            splat[:-1] *= 0.5
            splat[:-1] += blurred
        gathered = self._weights @ splat[:-1]
        gathered *= np.float32(self.gain)
        return gathered


def _embedding(dimensions: int) -> np.ndarray:
    """Maps features onto the hyperplane in d + 1 dimensions where coordinates sum to 0; (dimension, dimension + 1)."""
    rows = np.zeros((dimensions, dimensions + 1))
    for row in range(dimensions):
        rows[row, : row + 1] = 1
        rows[row, row + 1] = -(row + 1)
        rows[row] /= math.sqrt((row + 1) * (row + 2))
    return (rows * (dimensions + 1) * math.sqrt(2 / 3)).astype(np.float32)


def _numbering(features: np.ndarray, embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How corners get unique numbers: a stride for each coordinate and the lowest multiple of d + 1 in it.

    A corner's coordinates are (d + 1) q + k with integers q and one k in 0..d for all of them (its colour), and sum to 0:
    k and all q but the last tell it. Its number is k + (d + 1) sum_i (q_i - lowest_i) stride_i.
    """
    side = len(embedding) + 1
    low, high = np.full(side, np.inf), np.full(side, -np.inf)
    for start in range(0, len(features), _CHUNK):
        elevated = features[start : start + _CHUNK] @ embedding
        low, high = np.minimum(low, elevated.min(0)), np.maximum(high, elevated.max(0))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("the features of a permutohedral lattice must be finite")
    lowest = np.floor(low / side).astype(np.int64) - 2
    sizes = [int(size) for size in np.ceil(high / side).astype(np.int64) + 2 - lowest]
    strides = [math.prod(sizes[:axis]) for axis in range(side - 1)]
    if side * math.prod(sizes[:-1]) >= 2**63:
        raise ValueError(
            "the features spread over too many standard deviations for a permutohedral lattice: "
            f"{', '.join(f'{size:.3g}' for size in np.ptp(features, axis=0))}"
        )
    return np.array([*strides, 0], np.int64), lowest


def _corners(elevated: np.ndarray, strides: np.ndarray, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (int64) and barycentric weights of the d + 1 corners around each point, both (point, d + 1)."""
    side = elevated.shape[1]
    multiples = np.rint(elevated / side)
    surplus = multiples.sum(1).astype(np.int64)
    order = np.argsort(side * multiples - elevated, axis=1)
    # The nearest multiples need not sum to 0: the coordinates that were rounded the farthest are rounded the other way.
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(side)[None], axis=1)
    rank += surplus[:, None]
    multiples += (rank < 0).astype(np.float32) - (rank >= side)
    rank %= side
    offsets = (elevated / side - multiples).astype(np.float32)
    np.put_along_axis(order, rank, np.arange(side)[None], axis=1)
    falling = np.take_along_axis(offsets, order, axis=1)
    weights = np.empty_like(falling)
    weights[:, 1:] = (falling[:, :-1] - falling[:, 1:])[:, ::-1]
    weights[:, 0] = 1 - (falling[:, 0] - falling[:, -1])
    # From a corner to the next, all coordinates grow by 1, and that of the lowest offset left falls by d + 1.
    keys = np.empty((len(elevated), side), np.int64)
    keys[:, 0] = side * ((multiples.astype(np.int64) - lowest) * strides).sum(1)
    np.cumsum((1 - side * strides[order])[:, :0:-1], axis=1, out=keys[:, 1:])
    keys[:, 1:] += keys[:, :1]
    return keys, weights


def _self_weights(weights: np.ndarray) -> np.ndarray:
    """What a point's value would get back through its own corners, float32 (point,), if no corner were missing.

    Corners m places apart are m steps forward along as many directions apart, and as well d + 1 - m steps back along the
    others, since all directions together come back to the start. The blur gives a step 1/4 and a stay 1/2.
    """
    side = weights.shape[1]
    total = (0.5**side + 2 * 0.25**side) * (weights**2).sum(1)
    for apart in range(1, side):
        blur = 0.25**apart * 0.5 ** (side - apart) + 0.25 ** (side - apart) * 0.5**apart
        total += 2 * blur * (weights[:, apart:] * weights[:, :-apart]).sum(1)
    return total


def _neighbours(corners: np.ndarray, strides: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Along each direction, the places of the corner before and after each corner; the number of corners if missing."""
    side, count = len(strides), len(corners)
    colour = corners % side
    step = np.where(colour == side - 1, side * strides.sum() - (side - 1), 1)
    found = []
    for stride in strides:
        target = corners + step - side * stride
        place = np.searchsorted(corners, target)
        place[place == count] = 0
        present = np.flatnonzero(corners[place] == target)
        before, after = np.full((2, count), count, np.int32)
        after[present] = place[present]
        before[place[present]] = present
        found.append((before, after))
    return found
