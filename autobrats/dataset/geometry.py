"""Where a study's voxels lie: the file's own grid, the canonical axes, and the exact way between them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel
import numpy as np

GRID_TOLERANCE_VOXELS = 0.1
"""Two grids are the same if no corner of the volume lies further apart than this share of a voxel."""

_CANONICAL_AXES = ("L", "P", "S")


def by_times(numbers: Sequence[float]) -> str:
    """Sizes for people: ``240x240x155``."""
    return "x".join(f"{number:.6g}" for number in numbers)


@dataclass(frozen=True)
class Geometry:
    """Where a study's voxels lie, and all that is needed to write a mask onto exactly its reference file's grid.

    Canonical arrays have shape (z, y, x), with x growing towards the patient's left, y towards the back and z upwards
    (LPS). The way there from the file's axes is a transposition and flips only: no voxel is interpolated.

    Attributes:
        shape: canonical (z, y, x), voxels.
        spacing_mm: canonical (z, y, x), rounded to nanometres, as headers in float32 differ beyond that.
        affine: 4 x 4, from the file's voxel indices (i, j, k) to RAS+ millimetres, as nibabel gives it.
        axes: for each canonical axis, the file's axis that it is.
        flips: for each canonical axis, True if the file runs against it.
        suffix: of a file that this geometry can be written to unchanged.
        header: the bytes of the reference file's NIfTI header, None for other kinds of file.
        placed: False for a NIfTI file whose qform and sform codes are both 0: its position is unknown.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    suffix: str
    header: bytes | None = None
    placed: bool = True

    @property
    def file_shape(self) -> tuple[int, int, int]:
        """Voxels along the file's own axes (i, j, k)."""
        sizes = dict(zip(self.axes, self.shape, strict=True))
        return sizes[0], sizes[1], sizes[2]

    @property
    def canonical_affine(self) -> np.ndarray:
        """4 x 4, from canonical voxel indices (z, y, x) to RAS+ millimetres."""
        step = np.zeros((4, 4))
        step[3, 3] = 1
        for canonical, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            step[axis, canonical] = -1 if flip else 1
            if flip:
                step[axis, 3] = self.shape[canonical] - 1
        return self.affine @ step

    def to_canonical(self, array: np.ndarray) -> np.ndarray:
        """A view, shape (z, y, x), of an array on the file's axes (i, j, k)."""
        return array.transpose(self.axes)[self._steps]

    def to_file(self, array: np.ndarray) -> np.ndarray:
        """A view on the file's axes (i, j, k) of a canonical array, shape (z, y, x)."""
        return array[self._steps].transpose(np.argsort(self.axes))

    def mismatch(self, other: Geometry) -> str | None:
        """How the grid of ``other`` differs from this one, in words; None if they are the same.

        A file without a position (neither qform nor sform) is taken to lie where the other lies.
        """
        if self.shape != other.shape:
            return f"{by_times(other.shape)} voxels instead of {by_times(self.shape)}"
        if not (self.placed and other.placed):
            return None
        corners = np.array([[z, y, x, 1] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
        corners[:, :3] *= np.array(self.shape) - 1
        apart = np.linalg.norm((corners @ (self.canonical_affine - other.canonical_affine).T)[:, :3], axis=1).max()
        if apart <= GRID_TOLERANCE_VOXELS * min(self.spacing_mm):
            return None
        if not np.allclose(self.spacing_mm, other.spacing_mm, rtol=1e-3):
            return f"a spacing of {by_times(other.spacing_mm)} mm instead of {by_times(self.spacing_mm)} mm"
        return f"a position or direction that puts corners {apart:.3g} mm apart"

    @property
    def _steps(self) -> tuple[slice, slice, slice]:
        z, y, x = (slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return z, y, x


def geometry_of_file(
    file_shape: tuple[int, ...], affine: np.ndarray, suffix: str, header: bytes | None = None, placed: bool = True
) -> Geometry:
    """The geometry of a file with that shape (i, j, k) and affine: the canonical axes closest to the file's own.

    Raises:
        ValueError: if the affine is singular or not finite.
    """
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError("its affine is singular or not finite")
    (z, y, x), flips = _closest_axes(tuple(affine[:3, :3].ravel().tolist()))
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return Geometry(
        shape=(file_shape[z], file_shape[y], file_shape[x]),
        spacing_mm=(round(float(lengths[z]), 6), round(float(lengths[y]), 6), round(float(lengths[x]), 6)),
        affine=np.asarray(affine, float),
        axes=(z, y, x),
        flips=flips,
        suffix=suffix,
        header=header,
        placed=placed,
    )


@functools.lru_cache(maxsize=256)
def _closest_axes(rotation: tuple[float, ...]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For each canonical axis (z, y, x), the file's axis closest to it, and whether it runs against it."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(rotation, (3, 3))
    own = nibabel.orientations.io_orientation(affine)
    canonical = nibabel.orientations.axcodes2ornt(_CANONICAL_AXES)
    axes, flips = [0, 0, 0], [False, False, False]
    for axis, (target, direction) in enumerate(nibabel.orientations.ornt_transform(own, canonical)):
        axes[2 - int(target)] = axis
        flips[2 - int(target)] = bool(direction < 0)
    return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])
