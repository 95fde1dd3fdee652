"""pyradiomics' first-order features of a discretised region."""

from __future__ import annotations

import numpy as np
from radiomics.firstorder import RadiomicsFirstOrder

from autobrats.survival.radiomics.class_input import FromGreyLevels
from autobrats.survival.radiomics.grey_levels import GreyLevels
from autobrats.survival.radiomics.settings import RadiomicsSettings


class FirstOrder(FromGreyLevels, RadiomicsFirstOrder):
    """The moments are multiplied out: ``numpy.power`` takes ten times as long."""

    def __init__(self, region: GreyLevels, settings: RadiomicsSettings) -> None:
        super().__init__(region, settings)
        self.imageArray = region.image
        self.discretizedImageArray = region.levels
        self.pixelSpacing = self.inputImage.GetSpacing()
        self.voxelArrayShift = settings.voxel_array_shift

    @staticmethod
    def _moment(a: np.ndarray, moment: int = 1) -> np.ndarray:
        """The central moment of order 2, 3 or 4 of values (1, voxel)."""
        deviation = a - a.mean(1, keepdims=True)
        squared = deviation * deviation
        return np.mean({2: lambda: squared, 3: lambda: squared * deviation, 4: lambda: squared * squared}[moment](), 1)
