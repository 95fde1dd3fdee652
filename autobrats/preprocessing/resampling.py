"""Resampling between two grids that cover the same volume, one axis at a time.

Interpolation along an axis is linear in the data whatever its order, so it is a matrix. scipy builds that matrix by
resampling the identity, and applying it is a matrix product, which is many times faster than resampling the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

ANISOTROPIC = 3.0
"""An axis whose spacing exceeds the finest one this many times is interpolated linearly: a spline overshoots there."""
SAME = 0.01
"""Spacings that differ by less than this share are the same."""

Shape = tuple[int, int, int]


def resampled_shape(shape: Shape, spacing_mm: tuple[float, ...], target_mm: tuple[float, ...]) -> Shape:
    """Voxels along (z, y, x) of the grid of spacing ``target_mm`` over the same volume; equal spacings keep theirs."""
    sizes = [
        size if abs(spacing / target - 1) <= SAME else max(1, round(size * spacing / target))
        for size, spacing, target in zip(shape, spacing_mm, target_mm, strict=True)
    ]
    return (sizes[0], sizes[1], sizes[2])


def resample_image(image: np.ndarray, shape: Shape, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Cubic splines (linear along strongly anisotropic axes), smoothed first along axes that lose resolution.

    Args:
        image: float32, (z, y, x), with ``spacing_mm`` between its voxels.
        shape: the wanted voxels along (z, y, x).
    """
    orders = [1 if spacing > ANISOTROPIC * min(spacing_mm) else 3 for spacing in spacing_mm]
    return _apply(image, shape, orders)


def resample_labels(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """Each label's share of a voxel, interpolated linearly; the largest share wins, and no label vanishes.

    Args:
        labels: uint8, (z, y, x).
        shape: the wanted voxels along (z, y, x).
    """
    if labels.shape == tuple(shape):
        return labels
    integers = np.unique(labels)
    best = np.full(shape, -1.0, np.float32)
    result = np.zeros(shape, np.uint8)
    peaks: dict[int, int] = {}
    for integer in integers:
        share = _apply((labels == integer).astype(np.float32), shape, (1, 1, 1))
        wins = share > best
        result[wins] = integer
        np.maximum(best, share, out=best)
        peaks[int(integer)] = int(share.argmax())
    for integer in set(peaks) - set(np.unique(result).tolist()):
        result.reshape(-1)[peaks[integer]] = integer
    return result


def resampled_slabs(volume: np.ndarray, shape: Shape, slab: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Linear interpolation, ``slab`` slices of the result at a time, so that the whole never stands in memory.

    Args:
        volume: float, (channel, z, y, x).
        shape: the wanted voxels along (z, y, x).

    Yields:
        The slices along z and their values, (channel, slab, y, x), float32 or, where nothing is to be done, the volume's own.
    """
    _, height, width = volume.shape[1:]
    along_z, along_y, along_x = (
        interpolation_matrix(size, new_size, 1) for size, new_size in zip(volume.shape[1:], shape, strict=True)
    )
    for start in range(0, shape[0], slab):
        rows = along_z[start : start + slab]
        slices = slice(start, start + len(rows))
        if volume.shape[1:] == shape:
            yield slices, volume[:, slices]
            continue
        result = np.empty((len(volume), len(rows), *shape[1:]), np.float32)
        used = np.flatnonzero(rows.any(0))
        window = slice(int(used[0]), int(used[-1]) + 1)
        for channel, into in zip(volume, result, strict=True):
            used_slices = np.asarray(channel[window], np.float32).reshape(1, -1, height * width)
            lines = _few_taps(rows[:, window], used_slices).reshape(-1, width)
            # One product for all slices: each of many small ones would wake the library's threads.
            lines = lines @ along_x.T if shape[2] != width else lines
            part = lines.reshape(len(rows), height, shape[2])
            into[...] = _few_taps(along_y, part) if shape[1] != height else part
        yield slices, result


def _few_taps(matrix: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """What ``matrix @ parts`` gives for a matrix with few numbers in each row, of which only these are multiplied.

    Args:
        matrix: float32, (new, old).
        parts: float32, (part, old, values).
    """
    taps = int(np.count_nonzero(matrix, axis=1).max())
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
    weights = np.take_along_axis(matrix, order, 1)
    result = parts.take(order[:, 0], axis=1)
    result *= weights[:, 0, None]
    for tap in range(1, taps):
        term = parts.take(order[:, tap], axis=1)
        term *= weights[:, tap, None]
        result += term
    return result


@lru_cache(maxsize=64)
def interpolation_matrix(size: int, new_size: int, order: int) -> np.ndarray:
    """The matrix, float32 (new_size, size), that resamples an axis whose two ends stay where they are."""
    from scipy import ndimage

    identity: np.ndarray = np.eye(size)
    if new_size < size:
        identity = ndimage.gaussian_filter1d(identity, (size / new_size - 1) / 2, axis=0, mode="nearest")
    matrix = ndimage.zoom(identity, (new_size / size, 1), order=order, mode="nearest", grid_mode=True)
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _apply(image: np.ndarray, shape: tuple[int, ...], orders: tuple[int, ...] | list[int]) -> np.ndarray:
    if image.shape[0] != shape[0]:
        along_z = interpolation_matrix(image.shape[0], shape[0], orders[0])
        image = (along_z @ image.reshape(image.shape[0], -1)).reshape(shape[0], *image.shape[1:])
    if image.shape[1] != shape[1]:
        image = interpolation_matrix(image.shape[1], shape[1], orders[1]) @ image
    if image.shape[2] != shape[2]:
        image = image @ interpolation_matrix(image.shape[2], shape[2], orders[2]).T
    return np.ascontiguousarray(image)
