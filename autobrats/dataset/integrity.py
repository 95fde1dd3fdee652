"""The checks of a dataset: of each study, read once, and of the studies beside each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from autobrats.dataset.background import foreground
from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.faults import Fault
from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.dataset.volumes import Study, Volume, as_labels, read_volume, read_volumes
from autobrats.errors import UserError

LARGEST_BRAIN_ML = 2200.0
"""No brain with its fluid is larger; more signal than that is a head with its skull, or an image with its noise."""
SMALLEST_WHOLE_BRAIN_ML = 500.0
"""Studies with less signal are crops, or other organs: brains in them are not compared."""
OVERLAP_WARNING, OVERLAP_ERROR = 0.93, 0.7
"""Dice of two modalities' brains below which they are doubted, and refused, as co-registered."""
OUTSIDE_WARNING = 0.1
"""Share of a mask's voxels outside the brain from which on it is doubted."""
FOLDS = 5


@dataclass
class CheckedStudy:
    """A study as read for the checks.

    Attributes:
        volumes: by modality, those that can be used together.
        signal: by modality, the voxels that differ from the background, bool (z, y, x).
        labels: uint8 (z, y, x), or None.
        digests: by modality, of the image's content.
        faults: what was found.
    """

    case: Case
    volumes: dict[str, Volume] = field(default_factory=dict)
    signal: dict[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
    digests: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether there is no error."""
        return bool(self.volumes) and all(fault.severity != "error" for fault in self.faults)

    def add(
        self, severity: Literal["error", "warning"], file: Path | None, kind: str, message: str, remedy: str
    ) -> None:
        """Note a fault of this case."""
        self.faults.append(Fault(severity, self.case.name, file, kind, message, remedy))


def expects_brains(modalities: Sequence[str], convention: Convention) -> bool:
    """Whether studies should be co-registered and skull-stripped: MR of brain tumours."""
    return not set(modalities).isdisjoint(MR_MODALITIES) and not convention.exclusive


def check_study(case: Case, modalities: Sequence[str], convention: Convention, brains: bool) -> CheckedStudy:
    """Read every file of a case once and check it.

    Args:
        modalities: to read, in order.
        convention: says which integers a mask may hold.
        brains: whether the study must be co-registered and skull-stripped.
    """
    study = CheckedStudy(case)
    _read_images(study, modalities)
    if case.mask is not None:
        _read_labels(study, convention)
    if brains and study.volumes:
        _check_skull(study)
        _check_alignment(study)
    if brains and study.labels is not None and study.signal:
        _check_mask_inside(study)
    return study


def check_loaded(study: Study, case: Case) -> list[Fault]:
    """The faults of a study in memory that must be co-registered and skull-stripped, as it must be for prediction."""
    checked = CheckedStudy(case)
    for modality, image, present in zip(study.modalities, study.images, study.present, strict=True):
        if present:
            checked.volumes[modality] = Volume(image, study.geometry)
            checked.signal[modality] = foreground(image)
    _check_skull(checked)
    _check_alignment(checked)
    return checked.faults


def check_dataset(dataset: Dataset, digests: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """What is wrong across cases: the same image twice, too few patients.

    Args:
        digests: by case and modality, of the image's content.
    """
    faults = _duplicates(dataset, digests)
    patients = {case.patient for case in dataset.cases if case.mask is not None}
    if 0 < len(patients) < FOLDS:
        count = f"{len(patients)} patient{'s' * (len(patients) != 1)} with a mask"
        if len(patients) < 2:
            message, remedy = f"{count}: no cross-validation is possible", "train the fold 'all', or add patients"
        else:
            message = f"{count}, fewer than {FOLDS}: there will be {len(patients)} folds"
            remedy = "add patients if scores are to be trusted"
        faults.append(Fault("warning", "", None, "few_patients", message, remedy))
    return faults


def _read_images(study: CheckedStudy, modalities: Sequence[str]) -> None:
    images = {modality: study.case.images[modality] for modality in modalities if modality in study.case.images}
    first: str | None = None
    for modality, volume in read_volumes(images):
        file = images[modality].path
        if isinstance(volume, UserError):
            study.add("error", file, "unreadable", str(volume), "copy or download the file again")
            continue
        voxels = volume.voxels
        if voxels.dtype.kind == "f" and (count := voxels.size - int(np.isfinite(voxels).sum())):
            remedy = "replace them, for example by 0, or export the image again"
            study.add("error", file, "non_finite", f"{count} voxels of {modality} are NaN or infinite", remedy)
            continue
        if voxels.min() == voxels.max():
            message = f"every voxel of {modality} is {voxels.flat[0]:g}"
            study.add("error", file, "constant_image", message, "replace the file, or remove it if it was not acquired")
            continue
        if first is not None and (difference := study.volumes[first].geometry.mismatch(volume.geometry)):
            message = f"{modality} does not lie on the grid of {first}: it has {difference}"
            study.add("error", file, "other_grid", message, f"register and resample it onto the grid of {first}")
            continue
        first = first or modality
        study.volumes[modality] = volume
        study.signal[modality] = foreground(voxels)
        study.digests[modality] = hashlib.blake2b(_bytes(voxels), digest_size=16).hexdigest()


def _read_labels(study: CheckedStudy, convention: Convention) -> None:
    assert study.case.mask is not None
    file = study.case.mask.path
    geometry = next((volume.geometry for volume in study.volumes.values()), None)
    try:
        volume = read_volume(study.case.mask, geometry)
    except UserError as error:
        study.add("error", file, "unreadable", str(error), "copy or download the file again")
        return
    if geometry is not None and (difference := geometry.mismatch(volume.geometry)):
        message = f"the mask does not lie on the images' grid: it has {difference}"
        study.add("error", file, "other_grid", message, "resample the mask (nearest neighbour) onto the images' grid")
        return
    try:
        labels = as_labels(volume.voxels, file)
    except UserError as error:
        study.add("error", file, "not_whole", str(error), "write the mask again with whole numbers")
        return
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
    if unexpected := sorted(present - set(convention.labels.values())):
        listed = ", ".join(map(str, unexpected))
        allowed = ", ".join(f"{value} {name}" for name, value in convention.labels.items())
        message = f"label {listed} in the mask is none of the convention {convention.name} (0, {allowed})"
        study.add("error", file, "unexpected_label", message, "correct the mask, or choose another --convention")
        return
    if not present:
        study.add("warning", file, "empty_mask", "the mask is empty", "nothing, if there is no tumour in this study")
    study.labels = labels


def _check_skull(study: CheckedStudy) -> None:
    for modality, volume in study.volumes.items():
        millilitres = float(np.prod(volume.geometry.spacing_mm)) / 1000
        signal = study.signal[modality]
        if signal.sum() * millilitres <= LARGEST_BRAIN_ML:
            continue
        # What is fainter than a hundredth of the brightest tissue may be interpolation around a stripped brain.
        voxels = volume.voxels.astype(np.float32)
        faint = 0.01 * abs(np.percentile(voxels, 99.5))
        bright_ml = float((np.abs(voxels) > faint).sum()) * millilitres
        if bright_ml > LARGEST_BRAIN_ML:
            study.add(
                "error",
                study.case.images[modality].path,
                "not_skull_stripped",
                f"{modality} has {bright_ml / 1000:.1f} litres of signal, more than a brain "
                f"({LARGEST_BRAIN_ML / 1000:.1f}): it is not skull-stripped, and so most likely not co-registered",
                "register the modalities to one another and strip the skull (for example with SRI24 and HD-BET)",
            )
            return


def _check_alignment(study: CheckedStudy) -> None:
    volumes = list(study.volumes.items())
    millilitres = float(np.prod(volumes[0][1].geometry.spacing_mm)) / 1000
    first, reference = volumes[0][0], study.signal[volumes[0][0]]
    size = reference.sum()
    if not SMALLEST_WHOLE_BRAIN_ML <= size * millilitres <= LARGEST_BRAIN_ML:
        return
    for modality, _ in volumes[1:]:
        other = study.signal[modality]
        dice = 2 * np.count_nonzero(reference & other) / (size + np.count_nonzero(other))
        if dice < OVERLAP_WARNING:
            study.add(
                "error" if dice < OVERLAP_ERROR else "warning",
                study.case.images[modality].path,
                "not_co_registered",
                f"the brain in {modality} overlaps that in {first} by a Dice of {dice:.2f} only",
                f"look at both; if they are shifted, register {modality} to {first}",
            )


def _check_mask_inside(study: CheckedStudy) -> None:
    assert study.labels is not None and study.case.mask is not None
    tumour = study.labels > 0
    size = np.count_nonzero(tumour)
    if not size:
        return
    brain = np.logical_or.reduce(list(study.signal.values()))
    outside = np.count_nonzero(tumour & ~brain) / size
    if outside > OUTSIDE_WARNING:
        study.add(
            "warning",
            study.case.mask.path,
            "mask_outside_brain",
            f"{outside:.0%} of the mask lies outside the brain",
            "look at the mask over the images; it may be flipped or shifted",
        )


def _duplicates(dataset: Dataset, digests: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    first: dict[str, tuple[str, str]] = {}
    faults = []
    for case in dataset.cases:
        for modality, digest in digests.get(case.name, {}).items():
            if digest not in first:
                first[digest] = (case.name, modality)
                continue
            other, other_modality = first[digest]
            where = f"{other_modality} of case {other}" if other != case.name else f"its {other_modality}"
            faults.append(
                Fault(
                    "error",
                    case.name,
                    case.images[modality].path,
                    "duplicate_image",
                    f"{modality} is the same image, voxel by voxel, as {where}",
                    "keep one of them; copies in several folds make scores too good",
                )
            )
    return faults


def _bytes(voxels: np.ndarray) -> memoryview:
    """The voxels as bytes, in canonical order."""
    return np.ascontiguousarray(voxels).data.cast("B")
