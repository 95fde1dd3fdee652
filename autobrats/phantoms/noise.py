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

    @cached_property
    def _squared_frequency(self) -> np.ndarray:
        frequencies = [
            np.fft.fftfreq(self.shape[0], self.spacing_mm[0]),
            np.fft.fftfreq(self.shape[1], self.spacing_mm[1]),
            np.fft.rfftfreq(self.shape[2], self.spacing_mm[2]),
        ]
        z, y, x = np.meshgrid(*frequencies, indexing="ij", sparse=True)
        return (z**2 + y**2 + x**2).astype(np.float32)

    def smooth_noise(self, rng: np.random.Generator, size_mm: float) -> np.ndarray:
        """Gaussian random field of unit variance, float32, whose blobs are about ``size_mm`` wide."""
        return self._filtered(rng, np.exp(-0.5 * self._squared_frequency * (np.pi * size_mm / 2) ** 2))

    def folded_noise(self, rng: np.random.Generator, wavelength_mm: float) -> np.ndarray:
        """Gaussian random field of unit variance, float32, with one dominant wavelength: its zeros are folded sheets."""
        frequency = np.sqrt(self._squared_frequency) * wavelength_mm
        return self._filtered(rng, np.exp(-0.5 * ((frequency - 1) / 0.25) ** 2))

    def _filtered(self, rng: np.random.Generator, transfer: np.ndarray) -> np.ndarray:
        white = rng.standard_normal(self.shape, dtype=np.float32)
        field = fft.irfftn(fft.rfftn(white) * transfer, s=self.shape).astype(np.float32)
        return (field - field.mean()) / max(float(field.std()), 1e-6)


def soft(level_mm: np.ndarray, width_mm: float) -> np.ndarray:
    """Membership 0..1 of the inside of a surface, whose ``level_mm`` is negative inside; ``width_mm`` wide edge."""
    return 1 / (1 + np.exp(np.clip(4 * level_mm / width_mm, -30, 30)))
