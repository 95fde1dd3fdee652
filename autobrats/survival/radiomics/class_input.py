"""What pyradiomics' classes of intensity features are built from here: arrays instead of SimpleITK images."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from autobrats.survival.radiomics.grey_levels import GreyLevels
from autobrats.survival.radiomics.settings import RadiomicsSettings

SILENT = logging.getLogger(__name__)
"""Takes the place of pyradiomics' logger, which writes to stderr what is no news (a symmetrical GLCM is symmetrical)."""
SILENT.disabled = True


class _Geometry:
    """The one thing that the classes ask of an image."""

    def __init__(self, spacing_mm: tuple[float, float, float]) -> None:
        self._spacing = spacing_mm[::-1]

    def GetSpacing(self) -> tuple[float, float, float]:
        """(x, y, z) in mm."""
        return self._spacing


class FromGreyLevels:
    """Mixed into a pyradiomics class: its constructor takes a region that is discretised already.

    pyradiomics' own constructors convert, discretise and sort the same voxels once more for each of the six classes.
    """

    def __init__(self, region: GreyLevels, settings: RadiomicsSettings) -> None:
        self.logger = SILENT
        self.settings = settings.for_pyradiomics()
        self.voxelBased = False
        self.inputImage = _Geometry(region.spacing_mm)
        self.imageArray: np.ndarray = region.levels
        self.maskArray = region.mask
        self.coefficients: dict[str, Any] = {"grayLevels": region.present, "Ng": region.highest}
        self.symmetricalGLCM = True
        self.weightingNorm = settings.weighting_norm
        self.gldm_a = settings.gldm_alpha
        self.region = region
