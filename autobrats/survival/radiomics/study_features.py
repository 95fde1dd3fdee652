"""The radiomic features of a study: regions and modalities in, named values out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.survival.radiomics.feature_sets import PUBLISHED_SETS, FeatureSet
from autobrats.survival.radiomics.intensities import intensity_scale, scaled_intensities
from autobrats.survival.radiomics.intensity_features import intensity_features
from autobrats.survival.radiomics.regions import Region, Regions
from autobrats.survival.radiomics.settings import RadiomicsSettings
from autobrats.survival.radiomics.shape_features import shape_features, shape_of_nothing

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class RadiomicFeatures:
    """Features of one study.

    Attributes:
        values: by name, in the order of :func:`~autobrats.survival.radiomics.feature_sets.feature_names`; always the same
            names for the same sets. NaN where there is no value, never infinite.
        notes: a sentence for everything that was missing or has no value.
    """

    values: dict[str, float]
    notes: list[str]


def radiomic_features(
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    spacing_mm: Sequence[float],
    sets: Sequence[FeatureSet] = PUBLISHED_SETS,
    settings: RadiomicsSettings | None = None,
) -> RadiomicFeatures:
    """The features that pyradiomics computes for the same regions, images and settings, several times as fast.

    A modality or the mask of a part that is missing, and a region that is too small for a class of features give NaN and a
    note. An empty region has no intensities (NaN) and a shape of size 0.

    Args:
        images: (z, y, x), by modality.
        masks: bool, (z, y, x), by part of the tumour: NCR, ED, ET.
        spacing_mm: (z, y, x).
        sets: what is wanted; those of the paper by default.
        settings: for intensities and textures; None takes the defaults.

    Raises:
        ValueError: if images and masks differ in shape, or the spacing is not three lengths above 0.
    """
    _check(images, masks, spacing_mm)
    z, y, x = (float(length) for length in spacing_mm)
    study = _Study(images, Regions(masks), (z, y, x), settings or RadiomicsSettings())
    values: dict[str, float] = {}
    notes: dict[str, None] = {}
    for feature_set in sets:
        found, note = study.features(feature_set)
        values.update((f"{feature_set.prefix}_{feature}", found[feature]) for feature in feature_set.features)
        if note:
            notes[note] = None
    return RadiomicFeatures(values, list(notes))


def _check(images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], spacing_mm: Sequence[float]) -> None:
    shapes = {name: array.shape for name, array in (*images.items(), *masks.items())}
    if len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values()):
        raise ValueError(f"Images and masks must be of one shape (z, y, x), not {shapes}.")
    if len(spacing_mm) != 3 or not all(np.isfinite(length) and length > 0 for length in spacing_mm):
        raise ValueError(f"The spacing must be three lengths above 0 mm (z, y, x), not {list(spacing_mm)}.")


class _Study:
    """What the sets of a study share: regions, scales of intensity, shapes."""

    def __init__(
        self, images: Mapping[str, np.ndarray], regions: Regions, spacing_mm: Spacing, settings: RadiomicsSettings
    ) -> None:
        self._images = images
        self._regions = regions
        self._spacing_mm = spacing_mm
        self._settings = settings
        self._scales: dict[str, tuple[float, float] | None] = {}
        self._shapes: dict[str, dict[str, float]] = {}

    def features(self, wanted: FeatureSet) -> tuple[dict[str, float], str]:
        """Values by ``{class}_{Feature}``, and a note; empty if there is nothing to say."""
        nothing = dict.fromkeys(wanted.features, float("nan"))
        if parts := self._regions.missing_parts(wanted.labels):
            return nothing, f"No mask of {' and '.join(parts)}: the features of {wanted.region} are missing."
        region = self._regions.region(wanted.labels, wanted.largest)
        if region is None:
            note = f"{wanted.labels} is empty: its intensity features and ratios are missing, its sizes are 0."
            return (shape_of_nothing() if wanted.kind == "shape" else nothing), note
        if wanted.kind == "shape":
            values = self._shape(wanted, region)
        else:
            assert wanted.modality is not None
            scale = self._scale(wanted.modality)
            if scale is None:
                reason = "is empty" if wanted.modality in self._images else "is missing"
                return nothing, f"The image {wanted.modality} {reason}, and with it the features of {wanted.prefix}."
            image = scaled_intensities(self._images[wanted.modality][region.place], scale)
            try:
                values = intensity_features(image, region.mask, self._spacing_mm, self._settings)
            except ValueError as error:
                return nothing, f"{wanted.prefix}: {error}: its features are missing."
        return values, _note_on_gaps(wanted, values, int(np.count_nonzero(region.mask)))

    def _scale(self, modality: str) -> tuple[float, float] | None:
        if modality not in self._scales:
            image = self._images.get(modality)
            self._scales[modality] = None if image is None else intensity_scale(image, self._settings)
        return self._scales[modality]

    def _shape(self, wanted: FeatureSet, region: Region) -> dict[str, float]:
        key = wanted.labels if region.whole else wanted.region
        if key not in self._shapes:
            self._shapes[key] = shape_features(region.mask, self._spacing_mm)
        return self._shapes[key]


def _note_on_gaps(wanted: FeatureSet, values: Mapping[str, float], voxels: int) -> str:
    """Which classes of a set lack values, and how many; empty if none does."""
    gaps = Counter(feature.partition("_")[0] for feature, value in values.items() if np.isnan(value))
    if not gaps:
        return ""
    counted = ", ".join(f"{count} of {name}" for name, count in gaps.items())
    return f"{wanted.prefix} ({voxels} voxel{'s'[: voxels != 1]}): features without a value: {counted}."
