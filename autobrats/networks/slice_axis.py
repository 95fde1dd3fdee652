"""Which way the slices of a study are counted."""

from __future__ import annotations

from typing import Literal

SliceAxis = Literal["axial", "coronal", "sagittal"]
"""Slices by the plane they show: axial ones follow each other along z, coronal ones along y, sagittal ones along x."""

_DIMENSIONS = {"axial": 2, "coronal": 3, "sagittal": 4}


def slice_dimension(slice_axis: SliceAxis) -> int:
    """The dimension of (batch, channel, z, y, x) along which the slices follow each other.

    Raises:
        ValueError: for a name that is no plane.
    """
    if slice_axis not in _DIMENSIONS:
        raise ValueError(f"slice_axis must be one of {', '.join(_DIMENSIONS)}, not {slice_axis!r}")
    return _DIMENSIONS[slice_axis]


def in_plane_dimensions(slice_axis: SliceAxis) -> tuple[int, int]:
    """The two dimensions of (batch, channel, z, y, x) that lie within a slice.

    Raises:
        ValueError: for a name that is no plane.
    """
    along = slice_dimension(slice_axis)
    first, second = (dimension for dimension in _DIMENSIONS.values() if dimension != along)
    return first, second
