"""The 26 shape features of a region: 16 in 3D, 10 of its largest axial slice."""

from __future__ import annotations

import numpy as np
from radiomics import cShape
from radiomics.shape import RadiomicsShape
from radiomics.shape2D import RadiomicsShape2D

from autobrats.dataset.background import bounding_slices
from autobrats.survival.radiomics.class_input import SILENT
from autobrats.survival.radiomics.diameters import largest_diameters
from autobrats.survival.radiomics.features import SHAPE_FEATURES
from autobrats.survival.radiomics.mesh import mesh_area_and_volume
from autobrats.survival.radiomics.values import feature_values

_ZERO_WITHOUT_VOXELS = (
    "AxisLength",
    "Diameter",
    "MeshVolume",
    "MeshSurface",
    "Perimeter",
    "PixelSurface",
    "SurfaceArea",
)


def shape_features(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
    """``{class}_{Feature}`` of a region; NaN where pyradiomics has no value.

    Args:
        mask: bool, (z, y, x), of the region's bounding box, at least one voxel. Where voxels touch at edges only,
            pyradiomics' mesh has holes, and the volume that it states depends on where the origin lies. In a bounding box
            it is the one of pyradiomics' extractor.
        spacing_mm: (z, y, x).
    """
    largest = int(mask.sum((1, 2)).argmax())
    box = bounding_slices(mask[largest : largest + 1])
    assert box is not None
    builders = {
        "shape": lambda: Shape(mask, spacing_mm),
        "shape2D": lambda: SliceShape(mask[largest][box[1:]], spacing_mm[1:]),
    }
    return {
        feature: value
        for name, features in SHAPE_FEATURES.items()
        for feature, value in feature_values(name, features, builders[name]).items()
    }


def shape_of_nothing() -> dict[str, float]:
    """The shape features of an empty region: 0 for lengths, areas and volumes, NaN for ratios of them."""
    return {
        f"{name}_{feature}": 0.0 if _is_extent(feature) else float("nan")
        for name, features in SHAPE_FEATURES.items()
        for feature in features
    }


def _is_extent(feature: str) -> bool:
    return any(word in feature for word in _ZERO_WITHOUT_VOXELS) and "Ratio" not in feature


class Shape(RadiomicsShape):
    """pyradiomics' formulas, with area, volume and diameters found without comparing all vertices."""

    def __init__(self, mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> None:
        self.logger = SILENT
        self.pixelSpacing = np.array(spacing_mm)
        self.maskArray = np.pad(mask, 1)
        self.SurfaceArea, self.Volume = mesh_area_and_volume(self.maskArray, spacing_mm)
        self.diameters = largest_diameters(self.maskArray, spacing_mm)
        self.eigenValues = _eigenvalues(self.maskArray, self.pixelSpacing)


class SliceShape(RadiomicsShape2D):
    """pyradiomics' formulas for one slice."""

    def __init__(self, mask: np.ndarray, spacing_mm: tuple[float, float]) -> None:
        self.logger = SILENT
        self.pixelSpacing = np.array(spacing_mm)
        self.maskArray = np.pad(mask, 1)
        self.labelledPixelCoordinates = np.nonzero(self.maskArray)
        self.Perimeter, self.Surface, self.Diameter = cShape.calculate_coefficients2D(self.maskArray, self.pixelSpacing)
        self.eigenValues = _eigenvalues(self.maskArray, self.pixelSpacing)


def _eigenvalues(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Of the covariance of the voxels' places in mm, ascending; no rounding error below 0."""
    places = np.argwhere(mask) * spacing_mm
    places -= places.mean(0)
    places /= np.sqrt(len(places))
    values = np.linalg.eigvals(places.T.copy() @ places)
    values[(values < 0) & (values > -1e-10)] = 0
    values.sort()
    return values
