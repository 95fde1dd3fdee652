"""Random smooth fields, the stuff of which the phantoms' irregular shapes are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class Grid:
    """A voxel grid centred on the head: axes (z, y, x) point to superior, posterior and left.

    Attributes:
        shape: voxels along (z, y, x).
        spacing_mm: voxel size along (z, y, x).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @cached_property
    def coordinates_mm(self) -> np.ndarray:
        """Positions of the voxels relative to the centre, float32, shape (3, z, y, x)."""
        axes = [
            (np.arange(n, dtype=np.float32) - (n - 1) / 2) * s for n, s in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    def smooth_noise(self, rng: np.random.Generator, size_mm: float) -> np.ndarray:
        """Gaussian random field of unit variance, float32, whose blobs are about ``size_mm`` wide.

        White noise on a coarse lattice, spread by a Gaussian along one axis after the other.
        """
        sigma_mm = size_mm / 4
        kernels = []
        for n, spacing in zip(self.shape, self.spacing_mm, strict=True):
            voxels = np.arange(n, dtype=np.float32) * spacing
            step = max(1.2 * sigma_mm, 0.5 * spacing)
            nodes = np.arange(-3 * sigma_mm, voxels[-1] + 3 * sigma_mm + step, step, dtype=np.float32)
            kernel = np.exp(-0.5 * ((voxels[:, None] - nodes) / sigma_mm) ** 2)
            # Denormal numbers would make the products many times slower.
            kernels.append(np.where(kernel > 1e-5, kernel, 0).astype(np.float32))
        along_z, along_y, along_x = kernels
        field = rng.standard_normal([kernel.shape[1] for kernel in kernels], dtype=np.float32)
        field = np.matmul(along_y, np.matmul(field, np.ascontiguousarray(along_x.T)))
        return _standardised(np.matmul(along_z, field.reshape(len(field), -1)).reshape(self.shape))

    def folded_noise(self, rng: np.random.Generator, wavelength_mm: float) -> np.ndarray:
        """Gaussian random field of unit variance, float32, with one dominant wavelength: its zeros are folded sheets."""
        shape = [fft.next_fast_len(n, real=True) for n in self.shape]
        frequencies = [np.fft.fftfreq(n, s) for n, s in zip(shape[:2], self.spacing_mm[:2], strict=True)]
        z, y, x = np.meshgrid(*frequencies, np.fft.rfftfreq(shape[2], self.spacing_mm[2]), indexing="ij", sparse=True)
        frequency = np.sqrt(z**2 + y**2 + x**2).astype(np.float32) * np.float32(wavelength_mm)
        transfer = np.exp(-0.5 * ((frequency - 1) / np.float32(0.25)) ** 2)
        white = rng.standard_normal(shape, dtype=np.float32)
        field = fft.irfftn(fft.rfftn(white) * transfer, s=shape)
        return _standardised(field[tuple(slice(n) for n in self.shape)])


def _standardised(field: np.ndarray) -> np.ndarray:
    return ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)


def soft(level_mm: np.ndarray, width_mm: float) -> np.ndarray:
    """Membership 0..1 of the inside of a surface, whose ``level_mm`` is negative inside; ``width_mm`` wide edge."""
    return 1 / (1 + np.exp(np.clip(4 * level_mm / width_mm, -30, 30)))
