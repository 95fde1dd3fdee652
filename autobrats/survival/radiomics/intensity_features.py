"""The 94 intensity features of a region: first order and texture."""

from __future__ import annotations

from functools import partial

import numpy as np
from radiomics.gldm import RadiomicsGLDM
from radiomics.glszm import RadiomicsGLSZM
from radiomics.ngtdm import RadiomicsNGTDM

from autobrats.survival.radiomics.class_input import FromGreyLevels
from autobrats.survival.radiomics.cooccurrence import Cooccurrence
from autobrats.survival.radiomics.features import INTENSITY_FEATURES
from autobrats.survival.radiomics.first_order import FirstOrder
from autobrats.survival.radiomics.grey_levels import grey_levels
from autobrats.survival.radiomics.run_lengths import RunLengths
from autobrats.survival.radiomics.settings import MOST_LEVELS, RadiomicsSettings
from autobrats.survival.radiomics.values import feature_values


class SizeZones(FromGreyLevels, RadiomicsGLSZM):
    """pyradiomics' GLSZM features."""


class Dependences(FromGreyLevels, RadiomicsGLDM):
    """pyradiomics' GLDM features."""


class ToneDifferences(FromGreyLevels, RadiomicsNGTDM):
    """pyradiomics' NGTDM features."""


CLASSES = {
    "firstorder": FirstOrder,
    "glcm": Cooccurrence,
    "glrlm": RunLengths,
    "glszm": SizeZones,
    "gldm": Dependences,
    "ngtdm": ToneDifferences,
}


def intensity_features(
    image: np.ndarray,
    mask: np.ndarray,
    spacing_mm: tuple[float, float, float],
    settings: RadiomicsSettings,
) -> dict[str, float]:
    """``{class}_{Feature}`` of a region; NaN where pyradiomics has no value.

    Args:
        image: scaled intensities in the bounding box of the region, (z, y, x).
        mask: the region, bool, (z, y, x), at least one voxel.
        spacing_mm: (z, y, x).
        settings: for the discretisation and the textures.

    Raises:
        ValueError: if intensities in the region are not finite, or make more than MOST_LEVELS grey levels.
    """
    values = image[mask]
    if not np.isfinite(values).all():
        raise ValueError("intensities that are not numbers")
    if (
        settings.bin_count is None
        and (span := float(values.max()) - float(values.min())) > MOST_LEVELS * settings.bin_width
    ):
        raise ValueError(f"intensities that span {span:g}, more than {MOST_LEVELS} bins of {settings.bin_width:g}")
    region = grey_levels(image, mask, spacing_mm, settings)
    return {
        feature: value
        for name, features in INTENSITY_FEATURES.items()
        for feature, value in feature_values(name, features, partial(CLASSES[name], region, settings)).items()
    }
