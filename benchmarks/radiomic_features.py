"""The 1022 features of a study beside pyradiomics called once per mask and modality: time, memory, ratio, equality.

    python benchmarks/radiomic_features.py STUDIES [--case NAME ...] [--repeats 3]

STUDIES is a folder of studies with masks in any layout that autobrats reads. pyradiomics' RadiomicsFeatureExtractor gets the
whole volumes, already normalised, without its diagnostics: 7 calls for intensities, 14 for shapes in 3D, 14 for the slices
in 2D. Ours includes the normalisation and the search of the largest components; theirs does not. Both run alternately in
one process. Memory is what each takes at its peak in a fresh process, beyond the study itself and what it is given.
"""

from __future__ import annotations

import argparse
import logging
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from autobrats.dataset.cases import Dataset
from autobrats.dataset.connected_components import connected_components
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_case_mask, read_study
from autobrats.devices import PeakMemory
from autobrats.reporting.tables import print_table
from autobrats.survival.radiomics import PUBLISHED_SETS, FeatureSet, RadiomicsSettings, radiomic_features
from autobrats.survival.radiomics.feature_sets import (
    INTENSITY_FEATURES,
    LABEL_COMBINATIONS,
    SHAPE_FEATURES,
    TUMOUR_PARTS,
)
from autobrats.survival.radiomics.intensities import intensity_scale, scaled_intensities

Arrays = Mapping[str, np.ndarray]
Spacing = tuple[float, float, float]
Study = tuple[Arrays, Arrays, Spacing]
SIDES = ("autobrats", "pyradiomics")
TINY = 1e-6
"""Differences are relative to the larger of the value and this."""


class Pyradiomics:
    """The same features by pyradiomics' extractor on whole volumes; everything it is given is made beforehand.

    Args:
        images: float32, (z, y, x), by modality.
        masks: bool, (z, y, x), by part of the tumour.
        spacing_mm: (z, y, x).
        settings: as for ours.
    """

    def __init__(
        self,
        images: Arrays,
        masks: Arrays,
        spacing_mm: Spacing,
        settings: RadiomicsSettings | None = None,
        sets: tuple[FeatureSet, ...] = PUBLISHED_SETS,
    ) -> None:
        logging.getLogger("radiomics").setLevel(logging.CRITICAL)
        settings = settings or RadiomicsSettings()
        self.sets = sets
        self.options = settings.for_pyradiomics()
        self.spacing_mm = spacing_mm
        self.images = {
            modality: self._image(scaled_intensities(image, intensity_scale(image, settings) or (0.0, 1.0)))
            for modality, image in images.items()
        }
        self.masks, self.slices = {}, {}
        for wanted in sets:
            mask = np.logical_or.reduce([masks[part] for part in LABEL_COMBINATIONS[wanted.labels]])
            if wanted.largest:
                components = connected_components(mask)
                mask = components == 1 + np.bincount(components[mask])[1:].argmax()
            self.masks[wanted.region] = self._image(mask.astype(np.uint8))
            one_slice = np.zeros(mask.shape, np.uint8)
            largest = int(mask.sum((1, 2)).argmax())
            one_slice[largest] = mask[largest]
            self.slices[wanted.region] = self._image(one_slice)

    def _image(self, array: np.ndarray) -> sitk.Image:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm[::-1])
        return image

    def features(self) -> dict[str, float | None]:
        """All features by name; None for those of a mask that the extractor refuses (a single voxel)."""
        values: dict[str, float | None] = {}
        any_image = next(iter(self.images.values()))
        for wanted in self.sets:
            mask = self.masks[wanted.region]
            if wanted.modality is not None:
                found = self._extract(self.images[wanted.modality], mask, INTENSITY_FEATURES, self.options)
            else:
                in_3d, in_2d = ({name: SHAPE_FEATURES[name]} for name in ("shape", "shape2D"))
                found = self._extract(any_image, mask, in_3d, self.options)
                found |= self._extract(any_image, self.slices[wanted.region], in_2d, {**self.options, "force2D": True})
            values |= {f"{wanted.prefix}_{feature}": found.get(f"original_{feature}") for feature in wanted.features}
        return {name: None if value is None else float(np.real(value)) for name, value in values.items()}

    @staticmethod
    def _extract(image: sitk.Image, mask: sitk.Image, classes: Mapping[str, tuple[str, ...]], options: dict) -> dict:
        extractor = RadiomicsFeatureExtractor(**options)
        extractor.disableAllFeatures()
        extractor.enableFeaturesByName(**{name: list(features) for name, features in classes.items()})
        try:
            return dict(extractor.execute(image, mask))
        except ValueError:
            return {}


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


def main() -> None:
    """Print two lines for each study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path)
    parser.add_argument("--case", nargs="+", help="only these")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-of", choices=SIDES, help="measure the memory of one call, in this process")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # pyradiomics' own, of regions of few voxels
    dataset, _ = read_dataset(arguments.studies, name="radiomics")
    names = arguments.case or [case.name for case in dataset.cases]
    if arguments.memory_of:
        import torch

        compute = sides(*read(dataset, names[0]))[arguments.memory_of]
        with PeakMemory(torch.device("cpu")) as peak:
            compute()
        print(peak.gib)
        return
    rows: list[list[object]] = []
    for name in names:
        seconds, worst, voxels = measure(*read(dataset, name), arguments.repeats)
        command = [sys.executable, __file__, str(arguments.studies), "--case", name, "--memory-of"]
        gib = [float(subprocess.check_output([*command, side]).splitlines()[-1]) for side in SIDES]
        ratio = f"{seconds['pyradiomics'] / seconds['autobrats']:.1f}"
        rows.append(
            [f"{name}, {voxels} voxels", "autobrats", f"{seconds['autobrats']:.2f}", f"{gib[0]:.2f}", None, None]
        )
        rows.append(
            ["", "pyradiomics", f"{seconds['pyradiomics']:.2f}", f"{gib[1]:.2f}", ratio, "{:.1e} {}".format(*worst)]
        )
        print(f"{name}: {ratio} times as fast", file=sys.stderr, flush=True)
    headings = ["study", "features by", "seconds", "GiB", "ratio", "largest relative difference"]
    print_table(headings, rows, title=f"1022 features, medians of {arguments.repeats}")


def read(dataset: Dataset, name: str) -> Study:
    """Images, masks and spacing of a case."""
    case = dataset.case(name)
    study, labels = read_study(case, dataset.modalities), read_case_mask(case, dataset.modalities)
    masks = {part: labels == dataset.convention.labels[part] for part in TUMOUR_PARTS}
    return dict(zip(study.modalities, study.images, strict=True)), masks, study.spacing_mm


def sides(images: Arrays, masks: Arrays, spacing_mm: Spacing) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, in the order of SIDES."""
    functions = (
        lambda: radiomic_features(images, masks, spacing_mm).values,
        Pyradiomics(images, masks, spacing_mm).features,
    )
    return dict(zip(SIDES, functions, strict=True))


def measure(
    images: Arrays, masks: Arrays, spacing_mm: Spacing, repeats: int
) -> tuple[dict[str, float], tuple[float, str], int]:
    """Median seconds of each side, the largest difference, and the voxels of the tumour."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    values = {}
    functions = sides(images, masks, spacing_mm)
    for _ in range(repeats):
        for side, compute in functions.items():
            start = time.perf_counter()
            values[side] = compute()
            seconds[side].append(time.perf_counter() - start)
    worst = largest_difference(values["autobrats"], values["pyradiomics"])
    voxels = int(np.logical_or.reduce(list(masks.values())).sum())
    return {side: median(times) for side, times in seconds.items()}, worst, voxels


if __name__ == "__main__":
    main()
