"""The fingerprint of a dataset: its cases' measurements and their summary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from pydantic import Field

from autobrats.errors import UserError
from autobrats.fingerprint.cases import CaseFingerprint, IntensityStatistics, Strict

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


class DatasetFingerprint(Strict):
    """What was measured of the cases without errors; shapes in voxels and spacings in mm, along (z, y, x)."""

    patients: int
    masked_cases: int
    """Cases with a mask."""
    median_shape: Shape
    min_shape: Shape
    max_shape: Shape
    median_brain_shape: Shape
    """Of the box around the brain."""
    max_brain_shape: Shape
    median_spacing_mm: Spacing
    min_spacing_mm: Spacing
    max_spacing_mm: Spacing
    intensities: dict[str, IntensityStatistics]
    """By modality: mean, std, min and max pooled over all voxels of all cases; percentiles are the cases' medians."""
    modality_presence: dict[str, float]
    """By modality, the share of the cases that have it."""
    region_frequency: dict[str, float]
    """By region, its share of the brain's voxels over all cases with a mask."""
    region_presence: dict[str, float]
    """By region, the share of the cases with a mask that have it."""
    median_region_ml: dict[str, float]
    """By region, the median volume of the cases that have it."""
    median_lesions: dict[str, float]
    """By region, the median number of 26-connected components of the cases that have it."""
    max_lesions: dict[str, int]
    label_frequency: dict[str, float]
    """By label, its share of the brain's voxels over all cases with a mask."""
    brain_is_bounded: bool
    """Whether at least half of the cases have a background around the brain."""
    already_normalised: bool
    """Whether most cases have negative intensities in all modalities, as images have that were z-scored before."""
    cases: dict[str, CaseFingerprint] = Field(default_factory=dict)

    def without(self, names: Collection[str]) -> DatasetFingerprint:
        """The fingerprint without some cases.

        Raises:
            UserError: if none is left.
        """
        kept = {name: case for name, case in self.cases.items() if name not in names}
        if not kept:
            raise UserError("Every case of the dataset is faulty; mend the faults as the table says.")
        return summarise(kept)


def summarise(cases: Mapping[str, CaseFingerprint]) -> DatasetFingerprint:
    """The fingerprint of cases by name; without any, all sizes are 0."""
    every = list(cases.values())
    masked = [case for case in every if case.label_voxels]
    brain = sum(case.brain_voxels for case in masked)
    modalities = list(dict.fromkeys(modality for case in every for modality in case.intensities))
    regions = list(dict.fromkeys(region for case in masked for region in case.region_voxels))
    labels = list(dict.fromkeys(label for case in masked for label in case.label_voxels))
    having = {region: [case for case in masked if case.region_voxels[region]] for region in regions}
    shapes = np.array([case.shape for case in every] or [(0, 0, 0)])
    brains = np.array([case.brain_shape for case in every] or [(0, 0, 0)])
    spacings = np.array([case.spacing_mm for case in every] or [(0, 0, 0)], float)
    return DatasetFingerprint(
        patients=len({case.patient for case in every}),
        masked_cases=len(masked),
        median_shape=_voxels(np.median(shapes, 0)),
        min_shape=_voxels(shapes.min(0)),
        max_shape=_voxels(shapes.max(0)),
        median_brain_shape=_voxels(np.median(brains, 0)),
        max_brain_shape=_voxels(brains.max(0)),
        median_spacing_mm=_millimetres(np.median(spacings, 0)),
        min_spacing_mm=_millimetres(spacings.min(0)),
        max_spacing_mm=_millimetres(spacings.max(0)),
        intensities={modality: _pooled(modality, every) for modality in modalities},
        modality_presence={
            modality: float(np.mean([modality in case.intensities for case in every])) for modality in modalities
        },
        region_frequency={region: sum(case.region_voxels[region] for case in masked) / brain for region in regions},
        region_presence={region: len(those) / len(masked) for region, those in having.items()},
        median_region_ml={
            region: float(np.median([case.region_ml[region] for case in those]))
            for region, those in having.items()
            if those
        },
        median_lesions={
            region: float(np.median([case.lesions[region] for case in those]))
            for region, those in having.items()
            if those
        },
        max_lesions={region: max((case.lesions[region] for case in masked), default=0) for region in regions},
        label_frequency={label: sum(case.label_voxels[label] for case in masked) / brain for label in labels},
        brain_is_bounded=_most([case.is_bounded for case in every]),
        already_normalised=_most([all(s.percentile_00_5 < 0 for s in case.intensities.values()) for case in every]),
        cases=dict(cases),
    )


def _voxels(sizes: np.ndarray) -> Shape:
    z, y, x = (round(float(size)) for size in sizes)
    return z, y, x


def _millimetres(sizes: np.ndarray) -> Spacing:
    z, y, x = (round(float(size), 6) for size in sizes)
    return z, y, x


def _most(facts: Sequence[bool]) -> bool:
    return bool(facts) and sum(facts) >= len(facts) / 2


def _pooled(modality: str, cases: Sequence[CaseFingerprint]) -> IntensityStatistics:
    """Mean and standard deviation over all voxels of all cases, from each case's own (law of total variance)."""
    those = [case for case in cases if modality in case.intensities]
    weights = np.array([case.brain_voxels for case in those], float)
    statistics = [case.intensities[modality] for case in those]
    means = np.array([s.mean for s in statistics])
    mean = float(np.average(means, weights=weights))
    variance = np.average(np.array([s.std for s in statistics]) ** 2 + (means - mean) ** 2, weights=weights)
    return IntensityStatistics(
        mean=mean,
        std=float(np.sqrt(variance)),
        min=min(s.min for s in statistics),
        max=max(s.max for s in statistics),
        percentile_00_5=float(np.median([s.percentile_00_5 for s in statistics])),
        median=float(np.median([s.median for s in statistics])),
        percentile_99_5=float(np.median([s.percentile_99_5 for s in statistics])),
    )
