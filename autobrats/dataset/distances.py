"""Euclidean distance maps of masks."""

from __future__ import annotations

import edt
import numpy as np


def distances_inside(
    mask: np.ndarray, spacing_mm: tuple[float, float, float], *, black_border: bool = False
) -> np.ndarray:
    """Of each voxel of a mask, how far the next voxel outside it is: float32 in mm, (z, y, x); 0 outside.

    Args:
        mask: boolean (z, y, x).
        spacing_mm: along (z, y, x).
        black_border: whether what lies around the volume is outside; if not, it is as far as anything.
    """
    # As integers: edt (3.1) takes up to three times as long for the same distances of booleans.
    return edt.edt(mask.view(np.uint8), anisotropy=spacing_mm, black_border=black_border)
