"""Intensities that can be compared between studies."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.background import foreground
from autobrats.survival.radiomics.settings import RadiomicsSettings


def intensity_scale(image: np.ndarray, settings: RadiomicsSettings) -> tuple[float, float] | None:
    """The intensity that becomes 0 and the factor, for :func:`scaled_intensities`; None if the image shows nothing.

    Args:
        image: (z, y, x). The brain is what differs from the background and is finite.
        settings: with ``normalise`` none, (0, 1). A brain of one intensity keeps its scale.
    """
    signal = image[foreground(image)]
    signal = signal[np.isfinite(signal)]
    if not signal.size:
        return None
    if settings.normalise == "none":
        return 0.0, 1.0
    deviation = float(signal.std(dtype=np.float64))
    return float(signal.mean(dtype=np.float64)), settings.normalise_scale / deviation if deviation > 0 else 1.0


def scaled_intensities(image: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """(image - zero) * factor, in float32, of the shape of the image."""
    zero, factor = scale
    if (zero, factor) == (0, 1):
        return image
    return ((image.astype(np.float64) - zero) * factor).astype(np.float32)
