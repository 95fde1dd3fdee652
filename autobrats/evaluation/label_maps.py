"""Which label maps are in a folder, whatever its layout: one file a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autobrats.dataset.brats_layout import patient_of
from autobrats.dataset.cases import Case
from autobrats.dataset.conventions import Convention
from autobrats.dataset.layout import MAXIMUM_DEPTH, Found, list_folder, what_is_there
from autobrats.dataset.modality_names import read_name
from autobrats.dataset.nnunet_layout import read_labels
from autobrats.dataset.reading import find_cases
from autobrats.dataset.tables import add_tables
from autobrats.dataset.volumes import image_stem, image_suffix
from autobrats.errors import UserError
from autobrats.evaluation.label_names import Kind, LabelName, read_label_name
from autobrats.files import read_json

Side = Literal["prediction", "reference"]
_File = tuple[Path, LabelName]


@dataclass(frozen=True)
class LabelMaps:
    """The label maps of one side.

    Attributes:
        root: the folder or file that the user gave.
        files: by case.
        patients: by case: of cases.csv in the folder, else of BraTS' names, else the case itself.
        convention: what the dataset.json there says of the integers, if there is one.
        modalities: of the images that lie with the masks.
        spellings: of those modalities in the file names, lower case.
    """

    root: Path
    files: dict[str, Path]
    patients: dict[str, str]
    convention: Convention | None = None
    modalities: list[str] = field(default_factory=list)
    spellings: set[str] = field(default_factory=set)

    @property
    def is_one_file(self) -> bool:
        """Whether the user gave a single label map."""
        return image_suffix(self.root) is not None and self.root.is_file()


def find_label_maps(path: Path, side: Side) -> LabelMaps:
    """Find the label maps of one side: in a folder, in any dataset that can be planned, or in a single file.

    Of a folder's files those are taken whose names say the side (``CASE_prediction``, ``CASE_pred``; ``CASE_reference``,
    ``CASE_gt``); without such, those that say that they are masks (``CASE_seg``, ``CASE-label``, ...); without such, all
    others but images (``CASE_t1``) and probabilities. Sub-folders are looked into if the folder itself has none. A
    dataset of images and masks is read as ``autobrats_plan`` reads it, so that its cases have the same names.

    Raises:
        UserError: if the path does not exist, holds no label maps, or two of one case.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; give the folder of the {side}s.")
    if path.is_file() and image_suffix(path):
        name = read_label_name(image_stem(path)).case or path.resolve().parent.name
        return LabelMaps(path, {name: path}, {name: patient_of(name)[0]})
    files = [] if path.is_file() else _own_files(path, side)
    if files:
        return _listed(path, side, files)
    found = _dataset(path)
    maps = _of_dataset(path, side, found) if found is not None else None
    if maps is not None and any(_may_be(side, file) for file in maps.files.values()):
        return maps
    below = [] if path.is_file() else list(_below(path, MAXIMUM_DEPTH))
    for kind in ("mask", "plain"):
        if files := [(file, name) for file, name in below if name.kind == kind]:
            return _listed(path, side, files)
    raise UserError(_nothing_found(path, side, [name.kind for _, name in below]))


def _may_be(side: Side, file: Path) -> bool:
    """Whether a mask's name does not say that it is of the other side."""
    return read_label_name(image_stem(file)).kind not in {"prediction", "reference"} - {side}


def _own_files(folder: Path, side: Side) -> list[_File]:
    """The side's label maps in the folder itself, or below it if names say the side there."""
    own = _read_names(folder)
    for kind in (side, "mask", "plain"):
        if files := [(file, name) for file, name in own if name.kind == kind]:
            return files
    # IXI002-T1.nii.gz beside IXI012-T1.nii.gz, and nothing else: cases of one modality, not modalities of one case.
    if len({read_name(image_stem(file)).spelling for file, name in own if name.kind == "image"}) == 1 < len(own):
        return [(file, LabelName("plain", image_stem(file))) for file, name in own if name.kind == "image"]
    return [(file, name) for file, name in _below(folder, MAXIMUM_DEPTH) if name.kind == side]


def _read_names(folder: Path) -> list[_File]:
    return [(file, read_label_name(image_stem(file))) for file in list_folder(folder).images]


def _below(folder: Path, depth: int) -> Iterator[_File]:
    """Every image below (and in) the folder, and what its name says; a bare ``seg.nii.gz`` is its folder's case."""
    for file, name in _read_names(folder):
        yield file, name if name.case else name._replace(case=folder.resolve().name)
    if depth > 0:
        for sub in list_folder(folder).folders:
            yield from _below(sub, depth - 1)


def _listed(root: Path, side: Side, files: Iterable[_File]) -> LabelMaps:
    """The files by case."""
    by_case: dict[str, Path] = {}
    for file, name in files:
        case = name.case or file.resolve().parent.name
        if case in by_case:
            raise UserError(_two_files(root, side, case, by_case[case], file))
        by_case[case] = file
    cases = [Case(name=name, patient=patient_of(name)[0], images={}) for name in sorted(by_case)]
    add_tables(root.resolve(), cases)
    return LabelMaps(
        root,
        {case.name: by_case[case.name] for case in cases},
        {case.name: case.patient for case in cases},
        convention=_described(root) or _described(root.parent),
    )


def _described(folder: Path) -> Convention | None:
    """What a dataset.json in the folder (nnU-Net's or the Decathlon's) says of the integers."""
    file = folder / "dataset.json"
    if not file.is_file():
        return None
    try:
        return read_labels(read_json(file), file)
    except (UserError, AttributeError):
        return None


def _dataset(path: Path) -> Found | None:
    """What is there as a dataset of images and masks; None if it is none."""
    try:
        return find_cases(path)
    except UserError:
        # nnU-Net puts a dataset.json beside its predictions, too; elsewhere a description that cannot be read matters.
        if path.is_file() or (path / "labelsTr").is_dir():
            raise
        return None


def _of_dataset(path: Path, side: Side, found: Found) -> LabelMaps:
    """The masks of a dataset, with or without images."""
    for fault in found.faults:
        if fault.kind == "several_files" and fault.message.startswith("several files could be the mask"):
            raise UserError(f"Case {fault.case} in {path}: {fault.message}; {fault.remedy}.")
    files = {case.name: case.mask.path for case in found.cases if case.mask is not None}
    cases = [case for case in found.cases if case.name in files]
    for fault in found.faults:
        if fault.kind != "mask_without_image" or fault.file is None:
            continue
        if fault.case in files:
            raise UserError(_two_files(path, side, fault.case, files[fault.case], fault.file))
        files[fault.case] = fault.file
        cases.append(Case(name=fault.case, patient=patient_of(fault.case)[0], images={}))
    if path.is_dir():
        add_tables(path.resolve(), cases)
    patients = {case.name: case.patient for case in cases}
    return LabelMaps(path, files, patients, found.convention, found.modalities, found.spellings)


def _two_files(root: Path, side: Side, case: str, first: Path, second: Path) -> str:
    return f"{root} holds two {side}s of the case {case}: {first} and {second}; leave one of them there."


def _nothing_found(path: Path, side: Side, kinds: list[Kind]) -> str:
    """The sentence for a folder without label maps of a side."""
    if path.is_file():
        return f"{path} names no masks; it needs the columns case, mask and one a modality."
    other = "reference" if side == "prediction" else "prediction"
    if other in kinds:
        return (
            f"{path} holds no {side}s: its {kinds.count(other)} label maps are named as {other}s; "
            f"are -p and -r exchanged?"
        )
    expected = f"CASE.nii.gz, CASE_seg.nii.gz, CASE_{side}.nii.gz or a folder a case"
    return f"{path} holds no {side}s: expected label maps such as {expected}; found {what_is_there(path)}."
