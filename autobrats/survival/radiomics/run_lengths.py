"""pyradiomics' GLRLM features, from run lengths that are counted for a whole direction at once."""

from __future__ import annotations

import numpy as np
from radiomics import cMatrices
from radiomics.glrlm import RadiomicsGLRLM

from autobrats.survival.radiomics.class_input import FromGreyLevels


def run_length_matrices(levels: np.ndarray, highest: int, in_slices: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """How often which run of a grey level occurs: (level, length, direction), and the directions (direction, 3).

    A run is a longest sequence of voxels of one level along a direction. Equals pyradiomics' matrix.

    Args:
        levels: whole numbers, 1 to ``highest`` in a region, 0 outside; (z, y, x).
        highest: number of levels.
        in_slices: only directions within axial slices.
    """
    directions = cMatrices.generate_angles(np.array(levels.shape), np.array([1]), False, in_slices, 0)
    longest = max(levels.shape)
    padded = np.pad(levels.astype(np.min_scalar_type(highest)), 1)
    steps = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    matrices = [_runs_along(padded.ravel(), abs(int(direction @ steps)), highest, longest) for direction in directions]
    return np.stack(matrices, axis=-1), directions


def _runs_along(voxels: np.ndarray, step: int, highest: int, longest: int) -> np.ndarray:
    """Counts (level, length) of runs of flat voxels that are ``step`` apart.

    Voxels of equal index modulo ``step`` are laid one after another. The padding of zeros ends all lines of the region.
    """
    lines = np.pad(voxels, (0, -len(voxels) % step)).reshape(-1, step).T.ravel()
    starts = np.flatnonzero(lines[1:] != lines[:-1]) + 1
    if not len(starts):
        return np.zeros((highest, longest))
    level = lines[starts[:-1]].astype(int)
    length = np.diff(starts)
    in_region = level > 0
    cell = (level[in_region] - 1) * longest + length[in_region] - 1
    return np.bincount(cell, minlength=highest * longest).reshape(highest, longest).astype(float)


class RunLengths(FromGreyLevels, RadiomicsGLRLM):
    """pyradiomics' formulas; its C function takes several times as long to count the runs."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> np.ndarray:
        """Matrices of shape (1, level, length, direction), without absent levels and empty directions."""
        highest, in_slices = self.coefficients["Ng"], self.settings["force2D"]
        matrices, directions = run_length_matrices(self.imageArray, highest, in_slices)
        if not matrices[:, 1:].any(axis=(0, 1)).all():
            # pyradiomics leaves a direction out if no line along it meets two voxels of the region.
            longest = max(self.imageArray.shape)
            matrices = cMatrices.calculate_glrlm(self.imageArray, self.maskArray, highest, longest, in_slices, 0)[0][0]
        matrices = matrices[self.coefficients["grayLevels"] - 1]
        if self.weightingNorm is not None:
            matrices = (matrices * self._weights(directions)).sum(-1, keepdims=True)
        runs = matrices.sum((0, 1))
        if len(runs) > 1:
            matrices, runs = matrices[..., runs > 0], runs[runs > 0]
        self.coefficients["Nr"] = np.where(runs == 0, np.nan, runs)[None]
        return matrices[None]

    def _weights(self, directions: np.ndarray) -> np.ndarray:
        """The length of a step along each direction in the norm of the settings; 1 without weighting."""
        steps = np.abs(directions) * np.array(self.region.spacing_mm)
        orders = {"manhattan": 1, "euclidean": 2, "infinity": np.inf}
        if self.weightingNorm not in orders:
            return np.ones(len(directions))
        return np.linalg.norm(steps, orders[self.weightingNorm], axis=1)
