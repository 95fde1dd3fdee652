"""The images of a preprocessed study as one configuration's network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Intensities = Literal["as_stored", "unit_range"]


def network_input(images: np.ndarray, channels: Sequence[int], intensities: Intensities) -> np.ndarray:
    """The channels of a configuration, with its intensities.

    Args:
        images: (modality, z, y, x), preprocessed; the background is 0.
        channels: indices of the modalities that the network sees, in order.
        intensities: ``unit_range`` brings each channel to 0..1 inside the brain (Zhao et al., 2019, section 3.2).

    Returns:
        float32, (channel, z, y, x).
    """
    chosen = images if list(channels) == list(range(len(images))) else images[list(channels)]
    chosen = np.asarray(chosen, np.float32)
    return chosen if intensities == "as_stored" else to_unit_range(chosen, *input_range(chosen))


def input_range(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest intensity inside the brain of every channel, each of shape (channel,)."""
    inside = [image[image != 0] for image in images]
    low = [float(values.min()) if len(values) else 0.0 for values in inside]
    high = [float(values.max()) if len(values) else 0.0 for values in inside]
    return np.array(low, np.float32), np.array(high, np.float32)


def to_unit_range(images: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Intensities (channel, z, y, x) between ``low`` and ``high`` brought to 0..1; the background stays 0."""
    low, high = low.reshape(-1, 1, 1, 1), high.reshape(-1, 1, 1, 1)
    width = np.where(high > low, high - low, 1)
    return np.where(images != 0, (images - low) / width, 0).astype(np.float32)
