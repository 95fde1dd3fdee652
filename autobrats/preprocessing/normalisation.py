"""Intensities of one modality, made comparable between scanners."""

from __future__ import annotations

import numpy as np

from autobrats.errors import UserError
from autobrats.plan import Normalisation


def normalise(image: np.ndarray, signal: np.ndarray | None, how: Normalisation) -> np.ndarray:
    """Normalise one modality by its voxels inside the brain; the background becomes 0.

    Args:
        image: float32, (z, y, x).
        signal: bool, (z, y, x), the voxels inside the brain; None if the study has no background.
        how: method and percentiles.

    Returns:
        float32, (z, y, x). A constant image becomes 0.
    """
    if signal is not None and not signal.any():
        return np.zeros_like(image)
    values = image.ravel() if signal is None else image[signal]
    if how.clip_percentiles is not None:
        low, high = np.percentile(values, how.clip_percentiles)
        values = values.clip(low, high)
    if how.method == "zscore":
        mean = float(values.mean(dtype=np.float64))
        std = float(values.std(dtype=np.float64))
        values = (values - np.float32(mean)) / np.float32(std) if std > 0 else np.zeros_like(values)
    elif how.method == "fixed":
        if how.mean is None or how.std is None:
            raise UserError("The plan's normalisation 'fixed' needs the keys 'mean' and 'std'.")
        values = (values - np.float32(how.mean)) / np.float32(how.std)
    elif how.method == "minmax":
        low, high = float(values.min()), float(values.max())
        values = (values - np.float32(low)) / np.float32(high - low) if high > low else np.zeros_like(values)
    if signal is None:
        return values.reshape(image.shape).astype(np.float32, copy=False)
    result = np.zeros_like(image)
    result[signal] = values
    return result
