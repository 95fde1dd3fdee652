"""Which voxels of a study carry signal, judged by all its modalities together."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.background import background_value

MINIMUM_SHARE = 0.01
"""A single modality has a background only if so large a share of its voxels holds the background value."""


def foreground(images: np.ndarray, present: list[bool]) -> np.ndarray | None:
    """Which voxels of each modality carry signal, or None if the study has no background.

    A modality's background value is the one that fills all eight corners of its volume (zero in skull-stripped
    studies, another constant in z-scored ones), else zero. In one modality alone single voxels may hold that value
    by chance, so there it must fill a hundredth of the volume; several modalities that hold it together are outside
    the brain.

    Args:
        images: float, (modality, z, y, x).
        present: which modalities exist; the others are zero everywhere.

    Returns:
        bool, (modality, z, y, x), False everywhere in missing modalities.
    """
    signal = np.zeros(images.shape, bool)
    for index in np.flatnonzero(present):
        np.not_equal(images[index], background_value(images[index]), out=signal[index])
    background = 1.0 - signal.any(0).mean()
    if background == 1.0 or background < (MINIMUM_SHARE if sum(present) == 1 else np.finfo(float).tiny):
        return None
    return signal
