"""The connected components of a mask, of whatever shape."""

from __future__ import annotations

from typing import Literal

import cc3d
import numpy as np

_SMALL = 1000
"""Voxels of a mask that is copied for safety."""


def connected_components(mask: np.ndarray, connectivity: Literal[6, 18, 26] = 26) -> np.ndarray:
    """Labels, (z, y, x): 0 outside, 1 to N in the components of a boolean mask that has at least one voxel.

    Args:
        mask: boolean (z, y, x).
        connectivity: 6, 18 or 26 neighbours.
    """
    if min(mask.shape) == 1 or mask.size < _SMALL:
        # cc3d (4.1.1) raises "maximum length exception" for every other voxel of a line, a plane or a small box.
        return cc3d.connected_components(np.pad(mask, 1), connectivity=connectivity)[1:-1, 1:-1, 1:-1]
    return cc3d.connected_components(mask, connectivity=connectivity)
