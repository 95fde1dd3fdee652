"""What is measured of one case."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.dataset.background import Box, bounding_box, is_bounded
from autobrats.dataset.cases import Case
from autobrats.dataset.connected_components import connected_components
from autobrats.dataset.conventions import Convention
from autobrats.dataset.faults import Fault
from autobrats.dataset.integrity import CheckedStudy, check_study


class Strict(BaseModel):
    """A model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid")


class IntensityStatistics(Strict):
    """Of one modality's voxels inside the brain, in the file's own units."""

    mean: float
    std: float
    min: float
    max: float
    percentile_00_5: float
    median: float
    percentile_99_5: float


class CaseFingerprint(Strict):
    """Sizes, intensities and labels of one case."""

    patient: str
    shape: tuple[int, int, int]
    """Voxels (z, y, x) on canonical axes."""
    spacing_mm: tuple[float, float, float]
    brain_box: Box
    """[[z0, z1], [y0, y1], [x0, x1]]: the voxels that differ from the background in any modality."""
    brain_voxels: int
    is_bounded: bool
    """Whether there is a background around the brain."""
    intensities: dict[str, IntensityStatistics]
    """By modality that is present."""
    label_voxels: dict[str, int]
    """By label name; empty without a mask."""
    region_voxels: dict[str, int]
    region_ml: dict[str, float]
    lesions: dict[str, int]
    """By region, its 26-connected components."""

    @property
    def brain_shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) of the brain's box."""
        (z0, z1), (y0, y1), (x0, x1) = self.brain_box
        return z1 - z0, y1 - y0, x1 - x0

    @property
    def regions_present(self) -> list[str]:
        """The regions that have voxels, in order."""
        return [region for region, voxels in self.region_voxels.items() if voxels]


@dataclass(frozen=True)
class CaseSurvey:
    """What one reading of a case gives: measurements (None if it is faulty), faults, and digests by modality."""

    case: str
    fingerprint: CaseFingerprint | None
    faults: list[Fault] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


def survey_case(case: Case, modalities: list[str], convention: Convention, brains: bool) -> CaseSurvey:
    """Read a case once, check it and measure it.

    Args:
        brains: whether the study must be co-registered and skull-stripped.
    """
    study = check_study(case, modalities, convention, brains)
    fingerprint = measure(study, convention) if study.usable else None
    return CaseSurvey(case.name, fingerprint, study.faults, study.digests)


def measure(study: CheckedStudy, convention: Convention) -> CaseFingerprint:
    """Measure a study that was read and found usable."""
    geometry = next(iter(study.volumes.values())).geometry
    brain = np.logical_or.reduce(list(study.signal.values()))
    bounded = is_bounded(brain)
    intensities = {}
    for modality, volume in study.volumes.items():
        inside = volume.voxels[study.signal[modality]] if bounded else volume.voxels.ravel()
        intensities[modality] = intensity_statistics(inside)
    millilitres = float(np.prod(geometry.spacing_mm)) / 1000
    label_voxels, region_voxels, lesions = {}, {}, {}
    if study.labels is not None:
        counts = np.bincount(study.labels.ravel(), minlength=256)
        label_voxels = {name: int(counts[value]) for name, value in convention.labels.items()}
        region_voxels = {name: int(counts[values].sum()) for name, values in convention.regions.items()}
        lesions = count_lesions(study.labels, convention)
    return CaseFingerprint(
        patient=study.case.patient,
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm,
        brain_box=bounding_box(brain) if bounded else [[0, size] for size in geometry.shape],
        brain_voxels=int(np.count_nonzero(brain)) if bounded else brain.size,
        is_bounded=bounded,
        intensities=intensities,
        label_voxels=label_voxels,
        region_voxels=region_voxels,
        region_ml={name: round(voxels * millilitres, 4) for name, voxels in region_voxels.items()},
        lesions=lesions,
    )


def intensity_statistics(values: np.ndarray) -> IntensityStatistics:
    """Statistics of a one-dimensional array of at least one finite value."""
    low, middle, high = np.percentile(values, (0.5, 50, 99.5), overwrite_input=False)
    return IntensityStatistics(
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        min=float(values.min()),
        max=float(values.max()),
        percentile_00_5=float(low),
        median=float(middle),
        percentile_99_5=float(high),
    )


def count_lesions(labels: np.ndarray, convention: Convention) -> dict[str, int]:
    """By region, the number of 26-connected components in a label map, uint8 (z, y, x)."""
    tumour = labels > 0
    if not tumour.any():
        return dict.fromkeys(convention.regions, 0)
    box = tuple(slice(start, stop) for start, stop in bounding_box(tumour))
    regions = convention.to_regions(labels[box])
    return {
        name: int(connected_components(region.astype(bool)).max()) if region.any() else 0
        for name, region in zip(convention.regions, regions, strict=True)
    }
