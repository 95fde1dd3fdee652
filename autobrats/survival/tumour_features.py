"""Few and robust features of a tumour: sizes, shares, shape, foci and place. documentation/survival_features.md has all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.connected_components import connected_components
from autobrats.survival.radiomics.diameters import largest_diameters
from autobrats.survival.radiomics.feature_sets import TUMOUR_PARTS
from autobrats.survival.radiomics.mesh import mesh_area_and_volume
from autobrats.survival.tumour_position import POSITION_NAMES, tumour_position

Spacing = tuple[float, float, float]

SMALLEST_FOCUS_MM3 = 50.0
"""Smaller components are no foci: what BraTS 2023 leaves out of its lesion-wise scores of gliomas."""

_SHARES = (("ET", "WT"), ("NCR", "WT"), ("ED", "WT"), ("NCR", "TC"))
_SHAPED = ("WT", "TC", "ET")
_WITH_FOCI = ("WT", "TC")
_EXTENTS = ("size_WT_up_down_mm", "size_WT_front_back_mm", "size_WT_left_right_mm")

TUMOUR_FEATURE_NAMES = (
    *(f"size_{region}_ml" for region in ("WT", "TC", *TUMOUR_PARTS)),
    *(f"size_{part}_of_{region}" for part, region in _SHARES),
    *(f"size_{region}_{what}" for region in _SHAPED for what in ("surface_mm2", "sphericity", "diameter_mm")),
    *_EXTENTS,
    "size_ET_rim_mm",
    *(f"size_{region}_{what}" for region in _WITH_FOCI for what in ("foci", "largest_focus")),
    *POSITION_NAMES,
)
"""The columns, always these and in this order."""


@dataclass(frozen=True)
class TumourFeatures:
    """The features of one tumour.

    Attributes:
        values: by the names of :data:`TUMOUR_FEATURE_NAMES`; NaN where a feature has no meaning.
        notes: sentences on what is missing.
    """

    values: dict[str, float]
    notes: list[str] = field(default_factory=list)


def tumour_features(
    masks: Mapping[str, np.ndarray], spacing_mm: Spacing, brain: np.ndarray | None = None
) -> TumourFeatures:
    """Measure a tumour.

    Sizes of an absent region are 0; shares of an absent region, sphericity and place are NaN.

    Args:
        masks: of the parts NCR, ED and ET, boolean, canonical (z, y, x), as
            :func:`autobrats.survival.tumour_parts.tumour_parts` gives them.
        spacing_mm: along (z, y, x).
        brain: boolean (z, y, x); without it the features of place are NaN.
    """
    regions = {part: masks[part] for part in TUMOUR_PARTS}
    regions["TC"] = masks["NCR"] | masks["ET"]
    regions["WT"] = regions["TC"] | masks["ED"]
    values = tumour_position(regions["WT"], regions["TC"], brain, spacing_mm)
    notes = [] if brain is not None else ["the brain is not known, so the tumour's place in it is missing"]
    if absent := [region for region in (*TUMOUR_PARTS, "TC") if not regions[region].any()]:
        notes.append("there is no tumour" if len(absent) == 4 else f"there is no {', '.join(absent)}")

    box = bounding_slices(regions["WT"]) or (slice(0, 0),) * 3
    regions = {region: mask[box] for region, mask in regions.items()}
    voxel_mm3 = math.prod(spacing_mm)
    volumes_mm3 = {region: np.count_nonzero(mask) * voxel_mm3 for region, mask in regions.items()}
    for region, volume in volumes_mm3.items():
        values[f"size_{region}_ml"] = volume / 1000
    for part, region in _SHARES:
        values[f"size_{part}_of_{region}"] = _ratio(volumes_mm3[part], volumes_mm3[region])
    for region in _SHAPED:
        values |= _shape(region, regions[region], spacing_mm)
    for name, size, spacing in zip(_EXTENTS, regions["WT"].shape, spacing_mm, strict=True):
        values[name] = size * spacing
    # A layer of thickness t and area A has the volume t A and, with both its sides, the surface 2 A.
    values["size_ET_rim_mm"] = 2 * volumes_mm3["ET"] / (values["size_ET_surface_mm2"] or math.inf)
    for region in _WITH_FOCI:
        sizes_mm3 = _component_voxels(regions[region]) * voxel_mm3
        # The largest counts, however small it is.
        foci = max(int(len(sizes_mm3) > 0), int(np.count_nonzero(sizes_mm3 >= SMALLEST_FOCUS_MM3)))
        values[f"size_{region}_foci"] = foci
        values[f"size_{region}_largest_focus"] = _ratio(sizes_mm3.max(initial=0.0), volumes_mm3[region])
    return TumourFeatures({name: float(values[name]) for name in TUMOUR_FEATURE_NAMES}, notes)


def _shape(region: str, mask: np.ndarray, spacing_mm: Spacing) -> dict[str, float]:
    """Of the marching-cubes mesh around a mask, as pyradiomics defines SurfaceArea, Sphericity and Maximum3DDiameter."""
    area, roundness, diameter = 0.0, math.nan, 0.0
    if mask.any():
        padded = np.pad(mask, 1)
        area, volume_mm3 = mesh_area_and_volume(padded, spacing_mm)
        roundness = (36 * math.pi * volume_mm3**2) ** (1 / 3) / area
        diameter = largest_diameters(padded, spacing_mm)[-1]
    return {
        f"size_{region}_surface_mm2": area,
        f"size_{region}_sphericity": roundness,
        f"size_{region}_diameter_mm": diameter,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _component_voxels(mask: np.ndarray) -> np.ndarray:
    """The number of voxels of each 26-connected component, shape (component,)."""
    if not mask.any():
        return np.zeros(0, np.int64)
    return np.bincount(connected_components(mask).ravel())[1:]
