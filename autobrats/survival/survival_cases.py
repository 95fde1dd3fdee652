"""Cases to compute features of: a segmentation each, and the images that belong to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autobrats.dataset.cases import Dataset, ImageFile
from autobrats.dataset.conventions import Convention
from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.dataset.reading import read_dataset, read_studies
from autobrats.errors import UserError
from autobrats.evaluation.label_maps import LabelMaps, find_label_maps
from autobrats.evaluation.label_meaning import find_meaning, reference_convention


@dataclass(frozen=True)
class SurvivalCase:
    """A tumour to compute features of.

    Attributes:
        name: of the case.
        patient: whose case it is.
        images: by modality; may be empty.
        mask: the segmentation, on the images' grid.
        convention: what its integers mean.
    """

    name: str
    patient: str
    images: dict[str, ImageFile]
    mask: ImageFile
    convention: Convention


@dataclass(frozen=True)
class FoundCases:
    """What was found.

    Attributes:
        cases: each with a segmentation.
        left_out: by case, why it cannot be used, in one sentence.
        unused: names of segmentations without a study.
        convention_evidence: why the segmentations' convention was taken.
    """

    cases: list[SurvivalCase]
    left_out: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    convention_evidence: str = ""


def cases_of_dataset(dataset: Dataset, segmentations: Path | None = None) -> FoundCases:
    """The cases of a dataset with their own masks, or with the label maps of the same names in another folder.

    Raises:
        UserError: if the folder holds no label map of any case.
    """
    unused: list[str] = []
    if segmentations is None:
        masks = {case.name: case.mask for case in dataset.cases if case.mask is not None}
        convention, evidence = dataset.convention, dataset.convention_evidence
    else:
        maps = find_label_maps(segmentations, "prediction")
        meaning = find_meaning(dataset.convention, maps)
        convention, evidence = meaning.prediction, "; ".join(meaning.notes) or "that of the dataset"
        masks, unused = _masks_of((case.name for case in dataset.cases), maps, dataset.root)
    cases = [
        SurvivalCase(case.name, case.patient, dict(case.images), masks[case.name], convention)
        for case in dataset.cases
        if case.name in masks
    ]
    left_out = {case.name: _without_mask(segmentations) for case in dataset.cases if case.name not in masks}
    return FoundCases(cases, left_out, unused, evidence)


def cases_of_folders(
    studies: Path | None, segmentations: Path | None = None, convention: str | None = None
) -> FoundCases:
    """Studies with their own masks, studies with label maps in another folder, or label maps without images.

    Args:
        studies: a folder in any layout, or a CSV; None if there are no images.
        segmentations: a folder in any layout, such as autobrats_predict writes: named like the studies.
        convention: of the masks, by name; None detects it.

    Raises:
        UserError: if nothing is given or found, no segmentation has a study's name, two studies have the same name, or
            there is no such convention.
    """
    if studies is None and segmentations is None:
        raise UserError("Give the folder of the segmentations, of the studies, or both.")
    if segmentations is None:
        assert studies is not None
        return _with_own_masks(studies, convention)
    maps = find_label_maps(segmentations, "prediction")
    if studies is None:
        meaning, evidence = reference_convention(maps, convention)
        cases = [
            SurvivalCase(name, maps.patients[name], {}, ImageFile(path=file.resolve()), meaning)
            for name, file in maps.files.items()
        ]
        return FoundCases(cases, convention_evidence=evidence)
    found, faults = read_studies(studies, MR_MODALITIES)
    _refuse_doubles([case.name for case in found])
    masks, unused = _masks_of((case.name for case in found), maps, studies)
    modalities = [modality for modality in MR_MODALITIES if any(modality in case.images for case in found)]
    meaning, evidence = reference_convention(replace(maps, modalities=modalities), convention)
    left_out = {fault.case: fault.message for fault in faults if fault.severity == "error" and fault.case}
    left_out |= {case.name: _without_mask(segmentations) for case in found if case.name not in masks}
    cases = [
        SurvivalCase(case.name, case.patient, dict(case.images), masks[case.name], meaning)
        for case in found
        if case.name in masks
    ]
    return FoundCases(cases, left_out, unused, evidence)


def _with_own_masks(studies: Path, convention: str | None) -> FoundCases:
    dataset, faults = read_dataset(studies, name="studies", convention=convention, masks="optional")
    _refuse_doubles([case.name for case in dataset.cases])
    found = cases_of_dataset(dataset)
    if not found.cases:
        raise UserError(f"No study in {studies} has a mask; give the folder of the segmentations, too.")
    known = {case.name for case in dataset.cases}
    faulty = {
        fault.case: fault.message for fault in faults if fault.severity == "error" and fault.case not in known | {""}
    }
    return replace(found, left_out={**found.left_out, **faulty})


def _masks_of(names: Iterable[str], maps: LabelMaps, studies: Path) -> tuple[dict[str, ImageFile], list[str]]:
    """The label maps by case, and the names of those of no case; a single one belongs to a single study."""
    names, files = list(names), dict(maps.files)
    if len(names) == 1 and maps.is_one_file:
        files = dict(zip(names, files.values(), strict=True))
    masks = {name: ImageFile(path=files[name].resolve()) for name in names if name in files}
    if not masks:
        raise UserError(
            f"No segmentation in {maps.root} has the name of a study in {studies}: the segmentations are called "
            f"{_examples(files)}, the studies {_examples(names)}; name them alike."
        )
    return masks, sorted(files.keys() - set(names))


def _without_mask(segmentations: Path | None) -> str:
    if segmentations is None:
        return "the case has no mask; predict one, and give the folder of the segmentations"
    return f"there is no segmentation of this case in {segmentations}"


def _refuse_doubles(names: list[str]) -> None:
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"Two studies are called {doubles[0]}; give the studies different names.")


def _examples(names: Iterable[str] | Mapping[str, object]) -> str:
    """The first names, for a message."""
    some = sorted(names)
    return ", ".join(some[:2]) + (", ..." if len(some) > 2 else "")
