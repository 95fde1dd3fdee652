"""The connected components of a mask, of whatever shape."""

from __future__ import annotations

from typing import Literal

import cc3d
import numpy as np


def connected_components(mask: np.ndarray, connectivity: Literal[6, 18, 26] = 26) -> np.ndarray:
    """Labels, (z, y, x): 0 outside, 1 to N in the components of a boolean mask that has at least one voxel.

    Args:
        mask: boolean (z, y, x).
        connectivity: 6, 18 or 26 neighbours.
    """
    if mask.size == max(mask.shape):
        # cc3d (4.1.1) raises "maximum length exception" for a single line of voxels with every other one in the mask.
        return cc3d.connected_components(np.pad(mask, 1), connectivity=connectivity)[1:-1, 1:-1, 1:-1]
    return cc3d.connected_components(mask, connectivity=connectivity)
