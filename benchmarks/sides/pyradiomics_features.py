"""Radiomic features by pyradiomics' own extractor, called once for every mask and modality on whole volumes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from benchmarks.side_by_side.protocol import measured, serve


@dataclass(frozen=True)
class Call:
    """One call of the extractor.

    Attributes:
        image, mask: names of volumes.
        features: wanted, by pyradiomics' name of their class.
        names: what each of them is called in the result, by pyradiomics' name.
        options: of the extractor.
    """

    image: str
    mask: str
    features: Mapping[str, Sequence[str]]
    names: Mapping[str, str]
    options: Mapping[str, Any]


def extract(volumes: Mapping[str, sitk.Image], calls: Sequence[Call]) -> dict[str, float | None]:
    """All features by name; None for those of a mask that the extractor refuses (a single voxel)."""
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    values: dict[str, float | None] = {}
    for call in calls:
        extractor = RadiomicsFeatureExtractor(**call.options)
        extractor.disableAllFeatures()
        extractor.enableFeaturesByName(**{name: list(features) for name, features in call.features.items()})
        try:
            found = extractor.execute(volumes[call.image], volumes[call.mask])
        except ValueError:
            found = {}
        for feature, name in call.names.items():
            value = found.get(f"original_{feature}")
            values[name] = None if value is None else float(np.real(value))
    return values


def as_image(array: np.ndarray, spacing_mm: Sequence[float]) -> sitk.Image:
    """A volume of shape (z, y, x) and spacing (z, y, x)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(spacing_mm)[::-1])
    return image


def prepare(options: dict[str, Any]) -> tuple[dict[str, sitk.Image], list[Call]]:
    """Read the volumes (``volumes``: .npy files by name) and the calls."""
    warnings.simplefilter("ignore", RuntimeWarning)  # pyradiomics' own, of regions of few voxels
    volumes = {name: as_image(np.load(path), options["spacing_mm"]) for name, path in options["volumes"].items()}
    return volumes, [Call(**call) for call in options["calls"]]


def repeat(state: tuple[dict[str, sitk.Image], list[Call]]) -> dict[str, Any]:
    """All calls; ``values`` by name."""
    values, figures = measured(lambda: extract(*state))
    return figures | {"values": values}


if __name__ == "__main__":
    serve(prepare, repeat)
