"""The radiomic features of a study as calls of pyradiomics' extractor, and how far two sets of values are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from autobrats.dataset.connected_components import connected_components
from autobrats.survival.radiomics import PUBLISHED_SETS, FeatureSet, RadiomicsSettings
from autobrats.survival.radiomics.feature_sets import INTENSITY_FEATURES, LABEL_COMBINATIONS, SHAPE_FEATURES
from autobrats.survival.radiomics.intensities import intensity_scale, scaled_intensities
from benchmarks.sides.pyradiomics_features import Call, as_image, extract

Arrays = Mapping[str, np.ndarray]
Spacing = tuple[float, float, float]
TINY = 1e-6
"""Differences are relative to the larger of the value and this."""


class Pyradiomics:
    """The same features by pyradiomics' extractor on whole volumes; everything it is given is made beforehand.

    Args:
        images: float32, (z, y, x), by modality.
        masks: bool, (z, y, x), by part of the tumour.
        spacing_mm: (z, y, x).
        settings: as for ours.
        sets: of features.
    """

    def __init__(
        self,
        images: Arrays,
        masks: Arrays,
        spacing_mm: Spacing,
        settings: RadiomicsSettings | None = None,
        sets: tuple[FeatureSet, ...] = PUBLISHED_SETS,
    ) -> None:
        settings = settings or RadiomicsSettings()
        self.spacing_mm = spacing_mm
        self.volumes = {
            modality: scaled_intensities(image, intensity_scale(image, settings) or (0.0, 1.0))
            for modality, image in images.items()
        }
        for wanted in sets:
            mask = np.logical_or.reduce([masks[part] for part in LABEL_COMBINATIONS[wanted.labels]])
            if wanted.largest:
                components = connected_components(mask)
                mask = components == 1 + np.bincount(components[mask])[1:].argmax()
            self.volumes[wanted.region] = mask.astype(np.uint8)
            largest = int(mask.sum((1, 2)).argmax())
            self.volumes[f"{wanted.region}, a slice"] = np.zeros(mask.shape, np.uint8)
            self.volumes[f"{wanted.region}, a slice"][largest] = mask[largest]
        self.calls = [call for wanted in sets for call in self._calls(wanted, settings.for_pyradiomics())]

    def features(self) -> dict[str, float | None]:
        """All features by name; None for those of a mask that the extractor refuses (a single voxel)."""
        return extract({name: as_image(array, self.spacing_mm) for name, array in self.volumes.items()}, self.calls)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the volumes; the options of the side that makes the calls in another environment."""
        folder.mkdir()
        paths = {name: folder / f"{number}.npy" for number, name in enumerate(self.volumes)}
        for name, path in paths.items():
            np.save(path, self.volumes[name])
        return {
            "volumes": {name: str(path) for name, path in paths.items()},
            "spacing_mm": self.spacing_mm,
            "calls": [asdict(call) for call in self.calls],
        }

    def _calls(self, wanted: FeatureSet, options: dict[str, Any]) -> list[Call]:
        names = {feature: f"{wanted.prefix}_{feature}" for feature in wanted.features}
        if wanted.modality is not None:
            return [Call(wanted.modality, wanted.region, INTENSITY_FEATURES, names, options)]
        in_3d, in_2d = ({name: SHAPE_FEATURES[name]} for name in ("shape", "shape2D"))
        of_2d = {feature: name for feature, name in names.items() if feature.startswith("shape2D_")}
        of_3d = {feature: name for feature, name in names.items() if feature not in of_2d}
        image = next(iter(self.volumes))
        return [
            Call(image, wanted.region, in_3d, of_3d, options),
            Call(image, f"{wanted.region}, a slice", in_2d, of_2d, {**options, "force2D": True}),
        ]


def largest_difference(ours: Mapping[str, float], theirs: Mapping[str, float | None]) -> tuple[float, str]:
    """The largest relative difference and the feature that has it; infinite if only one side has a value.

    What the extractor refuses (None) is not compared; where it divides by 0, ours has to be NaN.
    """
    worst = (0.0, "")
    for name, value in theirs.items():
        if value is None or (not math.isfinite(value) and math.isnan(ours[name])):
            continue
        difference = abs(ours[name] - value) / max(abs(value), TINY)
        worst = max(worst, (difference if math.isfinite(difference) else math.inf, name))
    return worst
