"""Out-of-fold probabilities on disk: uint8, region-wise, cropped to a box, compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from autobrats.errors import UserError
from autobrats.files import atomic_path

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""(start, stop) along z, y and x on the study's canonical grid."""
Shape = tuple[int, int, int]


def write_probabilities(
    path: Path,
    probabilities: np.ndarray,
    box: Box,
    shape: Shape,
    spacing_mm: tuple[float, float, float] | None = None,
) -> None:
    """Write region probabilities of one case atomically as ``CASE.b2nd``.

    Args:
        path: the file, ending in ``.b2nd``.
        probabilities: uint8 (0..255 for 0..1), shape (region, z, y, x) of the box.
        box: where the array lies in the study's volume; outside it every probability is 0.
        shape: the study's volume, (z, y, x).
        spacing_mm: of the volume, along (z, y, x).

    Raises:
        ValueError: if the array is not uint8 or does not fill the box.
    """
    bounds = _checked_box(box, shape)
    expected = tuple(stop - start for start, stop in bounds)
    if probabilities.dtype != np.uint8 or probabilities.ndim != 4 or probabilities.shape[1:] != expected:
        raise ValueError(
            f"expected uint8 of shape (region, {', '.join(map(str, expected))}), "
            f"got {probabilities.dtype} of shape {probabilities.shape}"
        )
    with atomic_path(path) as temporary:
        array = blosc2.asarray(
            np.ascontiguousarray(probabilities),
            urlpath=str(temporary),
            mode="w",
            cparams={"codec": blosc2.Codec.ZSTD, "clevel": 5, "nthreads": 1},
        )
        array.schunk.vlmeta["box"] = [list(bound) for bound in bounds]
        array.schunk.vlmeta["shape"] = [int(size) for size in shape]
        if spacing_mm is not None:
            array.schunk.vlmeta["spacing_mm"] = [float(size) for size in spacing_mm]
        del array


def read_probabilities(path: Path) -> tuple[np.ndarray, Box, Shape]:
    """The array (uint8, shape (region, z, y, x) of the box), the box and the volume's shape.

    Raises:
        UserError: if the file is missing or not one that :func:`write_probabilities` wrote.
    """
    array = _open(path)
    try:
        shape: Shape = tuple(int(size) for size in array.schunk.vlmeta["shape"])  # type: ignore[assignment]
        box = _checked_box(array.schunk.vlmeta["box"], shape)
        probabilities = array[...]
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} is not a file of region probabilities ({error}); train its fold again.") from None
    return probabilities, box, shape


def read_spacing(path: Path) -> tuple[float, float, float] | None:
    """The spacing in mm along (z, y, x) that was written with the probabilities, if any."""
    array = _open(path)
    if "spacing_mm" not in array.schunk.vlmeta:
        return None
    z, y, x = (float(size) for size in array.schunk.vlmeta["spacing_mm"])
    return z, y, x


def to_volume(probabilities: np.ndarray, box: Box, shape: Shape) -> np.ndarray:
    """Put the box back into the study's volume: uint8, shape (region, *shape), 0 outside the box."""
    volume = np.zeros((len(probabilities), *shape), np.uint8)
    volume[(slice(None), *(slice(start, stop) for start, stop in box))] = probabilities
    return volume


def _open(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    try:
        return blosc2.open(str(path), mode="r")
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); train its fold again.") from None


def _checked_box(box: Any, shape: Shape) -> Box:
    z, y, x = ((int(start), int(stop)) for start, stop in box)
    for (start, stop), size in zip((z, y, x), shape, strict=True):
        if not 0 <= start < stop <= size:
            raise ValueError(f"the box {box} does not lie in a volume of shape {shape}")
    return z, y, x
