"""A region's intensities, cut out and discretised once for all classes of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from radiomics import imageoperations

from autobrats.survival.radiomics.settings import RadiomicsSettings


@dataclass(frozen=True)
class GreyLevels:
    """A region in its bounding box.

    Attributes:
        image: intensities, (z, y, x).
        mask: the region, bool, (z, y, x), at least one voxel.
        levels: grey levels from 1 in the region and 0 outside, int32, (z, y, x).
        present: the levels that occur, ascending.
        spacing_mm: (z, y, x).
    """

    image: np.ndarray
    mask: np.ndarray
    levels: np.ndarray
    present: np.ndarray
    spacing_mm: tuple[float, float, float]

    @property
    def highest(self) -> int:
        """The highest level."""
        return int(self.present[-1])


def grey_levels(
    image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float, float], settings: RadiomicsSettings
) -> GreyLevels:
    """Discretise the region with pyradiomics' bin edges, which depend on the extremes alone."""
    values = image[mask]
    extremes = np.array([values.min(), values.max()])
    edges = imageoperations.getBinEdges(extremes, binWidth=settings.bin_width, binCount=settings.bin_count)
    levels = np.zeros(image.shape, np.int32)
    levels[mask] = np.digitize(values, edges)
    return GreyLevels(image, mask, levels, np.flatnonzero(np.bincount(levels[mask])), spacing_mm)
