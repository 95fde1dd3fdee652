"""The largest diameters of a mask, from few of its vertices."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

_DIRECTIONS = 8
_FEW = 200


def largest_diameters(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """The largest distances between vertices of pyradiomics' mesh, in mm.

    pyradiomics compares all vertices with each other. The two that are farthest apart lie on the convex hull, and most
    planes are too narrow to hold the farthest two of any plane.

    Args:
        mask: bool, (z, y, x), False at all borders, at least one voxel True.
        spacing_mm: (z, y, x).

    Returns:
        Within a plane of equal z (slice), of equal y (column), of equal x (row), and in 3D.
    """
    doubled = _vertices(mask)
    points = doubled * (np.array(spacing_mm) / 2)
    in_slice, in_column, in_row = (_largest_within_planes(doubled[:, axis], points, axis) for axis in range(3))
    return in_slice, in_column, in_row, farthest_distance(points)


def farthest_distance(points: np.ndarray) -> float:
    """The largest distance between any two of points of shape (point, dimension); 0 for a single one."""
    if len(points) > _FEW:
        with suppress(QhullError):  # points on one line have no hull, and are few
            points = points[ConvexHull(points).vertices]
    return float(pdist(points).max(initial=0))


def _vertices(mask: np.ndarray) -> np.ndarray:
    """Midpoints between neighbouring voxels of which one is in the mask, in half voxels: int, (vertex, 3)."""
    found = []
    for axis in range(3):
        below = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        above = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        midpoints = 2 * np.argwhere(mask[below] != mask[above])
        midpoints[:, axis] += 1
        found.append(midpoints)
    return np.concatenate(found)


def _largest_within_planes(plane_of: np.ndarray, points: np.ndarray, axis: int) -> float:
    """The largest distance between two points of one plane.

    The width of a plane's points along any direction is no more than their diameter, and the greatest of the widths along
    directions pi / n apart no less than cos(pi / 2 n) times it. Planes are taken in the order of their widths until no
    further one can hold a larger diameter.
    """
    order = np.argsort(plane_of, kind="stable")
    first = np.flatnonzero(np.diff(plane_of[order], prepend=-1))
    flat = np.delete(points[order], axis, axis=1)
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    along = flat @ np.array([np.cos(angles), np.sin(angles)])
    widths = (np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first)).max(1)
    ends = np.append(first[1:], len(flat))
    largest = 0.0
    for plane in np.argsort(-widths):
        if widths[plane] / np.cos(np.pi / (2 * _DIRECTIONS)) <= largest:
            break
        largest = max(largest, farthest_distance(flat[first[plane] : ends[plane]]))
    return largest
