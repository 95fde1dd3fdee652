"""Where in the brain a tumour lies."""

from __future__ import annotations

import math

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.distances import distances_inside
from autobrats.evaluation.surface import positions

POSITION_NAMES = (
    "size_WT_to_left",
    "size_WT_off_midline",
    "size_WT_to_back",
    "size_WT_to_top",
    "size_WT_centre_to_ventricles_mm",
    "size_TC_to_ventricles_mm",
    "size_TC_to_border_mm",
    "size_WT_near_border",
    "size_TC_near_border",
)

NEAR_BORDER_MM = 10.0
"""What lies no deeper than this is near the brain's border."""

VENTRICLES_FROM_CENTROID = (0.03, 0.02, 0.0)
"""From the brain's centroid to where the lateral ventricles are looked for, up, back and left, in sizes of the brain's box.

Of five BraTS studies (their cerebrospinal fluid: dark in T1 and FLAIR, bright in T2, deeper than 25 mm) the ventricles'
centroid lay 1 to 7 mm above and 1 to 8 mm behind the brain's, by the medians 0.03 of its height and 0.02 of its length.
"""


def tumour_position(
    whole: np.ndarray, core: np.ndarray, brain: np.ndarray | None, spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    """The features of :data:`POSITION_NAMES`, which documentation/survival_features.md defines.

    Args:
        whole: the whole tumour, boolean (z, y, x), canonical: x towards the left, y towards the back, z upwards.
        core: the tumour core, likewise; may be empty.
        brain: likewise; None if it is not known.
        spacing_mm: along (z, y, x).

    Returns:
        NaN for what needs a brain or a region that is not there.
    """
    values = dict.fromkeys(POSITION_NAMES, math.nan)
    box = bounding_slices(brain) if brain is not None else None
    if brain is None or box is None or not whole.any():
        return values
    spacing = np.asarray(spacing_mm, np.float64)
    start, stop = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
    size = stop - start
    centre = _centroid(whole)
    up, back, left = (centre - (start + stop - 1) / 2) / (size / 2)
    ventricles = (_centroid(brain) + np.asarray(VENTRICLES_FROM_CENTROID) * size) * spacing
    values |= {
        "size_WT_to_left": left,
        "size_WT_off_midline": abs(left),
        "size_WT_to_back": back,
        "size_WT_to_top": up,
        "size_WT_centre_to_ventricles_mm": float(np.linalg.norm(centre * spacing - ventricles)),
    }
    if core.any():
        values["size_TC_to_ventricles_mm"] = np.linalg.norm(positions(core, spacing_mm) - ventricles, axis=1).min()
    # Segmentations reach over the border of a tightly stripped brain here and there.
    inside = brain | whole
    around = bounding_slices(inside)
    assert around is not None
    depth_mm = distances_inside(inside[around], spacing_mm, black_border=True)
    values["size_WT_near_border"] = (depth_mm[whole[around]] <= NEAR_BORDER_MM).mean()
    if core.any():
        depths = depth_mm[core[around]]
        values["size_TC_to_border_mm"] = depths.min()
        values["size_TC_near_border"] = (depths <= NEAR_BORDER_MM).mean()
    return {name: float(value) for name, value in values.items()}


def _centroid(mask: np.ndarray) -> np.ndarray:
    """In voxels, (z, y, x)."""
    plane = mask.sum(axis=0)
    profiles = (mask.sum(axis=(1, 2)), plane.sum(axis=1), plane.sum(axis=0))
    return np.array([profile @ np.arange(len(profile)) / profile.sum() for profile in profiles])
