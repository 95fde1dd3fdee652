"""Where the brain is in a skull-stripped study."""

from __future__ import annotations

from collections.abc import Mapping

import fill_voids
import numpy as np

from autobrats.dataset.background import bounding_slices, foreground, is_bounded
from autobrats.dataset.connected_components import connected_components


def brain_mask(images: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The brain, boolean (z, y, x): what differs from the background in any image, its largest component, without holes.

    Args:
        images: (z, y, x) by modality, skull-stripped, on one grid.

    Returns:
        None without images, or if they have no background: then nothing says where the brain ends.
    """
    if not images:
        return None
    signal = np.logical_or.reduce([foreground(image) for image in images.values()])
    box = bounding_slices(signal)
    if box is None or not is_bounded(signal):
        return None
    components = connected_components(signal[box])
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    brain = np.zeros(signal.shape, bool)
    brain[box] = fill_voids.fill(components == sizes.argmax())
    return brain
