"""Which voxels of a study carry signal, judged by all its modalities together."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.background import background_value, is_bounded


def foreground(images: np.ndarray, present: list[bool]) -> np.ndarray | None:
    """Which voxels of each modality carry signal, or None if the study has no background.

    A modality's background value is the one that fills all eight corners of its volume (zero in skull-stripped
    studies, another constant in z-scored ones), else zero. Single voxels may hold that value by chance, so it must fill a
    hundredth of the volume, in all modalities together.

    Args:
        images: float, (modality, z, y, x).
        present: which modalities exist; the others are zero everywhere.

    Returns:
        bool, (modality, z, y, x), False everywhere in missing modalities.
    """
    signal = np.zeros(images.shape, bool)
    for index in np.flatnonzero(present):
        np.not_equal(images[index], background_value(images[index]), out=signal[index])
    together = np.asarray(signal.any(0))
    return signal if together.any() and is_bounded(together) else None
