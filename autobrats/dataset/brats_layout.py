"""BraTS folders of 2012 to 2025: a folder a case, at any depth, with a file (or a folder with one file) a modality."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.faults import Fault
from autobrats.dataset.layout import MAXIMUM_DEPTH, Folder, Found, list_folder
from autobrats.dataset.modality_names import BRAIN_MASK, MASK, NameReading, modality_order, read_name
from autobrats.dataset.volumes import image_stem

_PATIENT_AND_TIMEPOINT = re.compile(r"^(BraTS(?:-[A-Za-z]+)+-\d+)-(\d+)$", re.I)
_GRADES = ("HGG", "LGG")

NamedFile = tuple[Path, NameReading]


def patient_of(case_name: str) -> tuple[str, str | None]:
    """Patient and time point of a case: of ``BraTS-GLI-00000-000``, ``BraTS-GLI-00000`` and ``000``; else the name."""
    match = _PATIENT_AND_TIMEPOINT.match(case_name)
    return (match[1], match[2]) if match else (case_name, None)


def read_brats(root: Path) -> Found | None:
    """The cases in a folder of case folders, or in one case folder; None if there is none.

    HGG and LGG folders on the way become the case's ``grade``.
    """
    found = Found("brats")
    folders = list(_case_folders(root, MAXIMUM_DEPTH))
    if not folders:
        return None
    names = _unique_names([folder for folder, _ in folders])
    for name, (folder, files) in zip(names, folders, strict=True):
        images, spellings = pick_images(name, files, found.faults)
        mask = pick_mask(name, files, found.faults)
        found.spellings |= spellings
        if not images:
            if mask is not None:
                found.faults.append(mask_without_image(name, mask.path))
            continue
        patient, timepoint = patient_of(name)
        case = Case(name=name, patient=patient, timepoint=timepoint, images=images, mask=mask)
        if grade := _grade(folder):
            case.clinical["grade"] = grade
        found.cases.append(case)
    found.modalities = modality_order({modality for case in found.cases for modality in case.images})
    return found


def pick_images(case: str, files: Sequence[NamedFile], faults: list[Fault]) -> tuple[dict[str, ImageFile], set[str]]:
    """One file a modality, and the spellings used; of several, the one whose name ends with the modality."""
    images: dict[str, ImageFile] = {}
    spellings: set[str] = set()
    by_modality: dict[str, list[NamedFile]] = {}
    for path, reading in files:
        if reading.meaning not in (None, MASK, BRAIN_MASK):
            by_modality.setdefault(str(reading.meaning), []).append((path, reading))
    for modality in modality_order(set(by_modality)):
        candidates = _best(by_modality[modality])
        path, reading = candidates[0]
        images[modality] = ImageFile(path=path)
        spellings.add(reading.spelling)
        if len(candidates) > 1:
            faults.append(_ambiguous(case, modality, [path for path, _ in candidates]))
    return images, spellings


def pick_mask(case: str, files: Sequence[NamedFile], faults: list[Fault]) -> ImageFile | None:
    """The segmentation among a case's files."""
    candidates = _best([(path, reading) for path, reading in files if reading.meaning == MASK])
    if len(candidates) > 1:
        faults.append(_ambiguous(case, "the mask", [path for path, _ in candidates]))
    return ImageFile(path=candidates[0][0]) if candidates else None


def mask_without_image(case: str, file: Path) -> Fault:
    """The fault of a mask that belongs to no image."""
    return Fault(
        "error",
        case,
        file,
        "mask_without_image",
        "there is a mask but no image of this case",
        "add the image under the same name, or move the mask away",
    )


def holds_several_cases(files: Sequence[NamedFile]) -> bool:
    """Whether files in one folder belong to several cases: a modality occurs under different prefixes."""
    prefixes: dict[str, set[str]] = {}
    for _, reading in files:
        if reading.meaning not in (None, BRAIN_MASK):
            prefixes.setdefault(str(reading.meaning), set()).add(reading.prefix.lower())
    return any(len(names) > 1 for meaning, names in prefixes.items() if meaning != MASK) or (
        set(prefixes) == {MASK} and len(prefixes[MASK]) > 1
    )


def _case_folders(path: Path, depth: int) -> Iterator[tuple[Path, list[NamedFile]]]:
    """Yield every case folder below (and including) ``path`` with its files and what their names say."""
    folder = list_folder(path)
    files = [(image, read_name(image_stem(image))) for image in folder.images]
    files, rest = _with_folders_of_one_image(folder, files)
    if any(reading.meaning not in (None, BRAIN_MASK) for _, reading in files) and not holds_several_cases(files):
        yield path, files
        return
    if depth > 0:
        for below in rest:
            yield from _case_folders(below, depth - 1)


def _with_folders_of_one_image(folder: Folder, files: list[NamedFile]) -> tuple[list[NamedFile], list[Path]]:
    """Add the images of sub-folders that are named after a modality and hold one image (2012 to 2015, and 2021)."""
    files, rest = list(files), []
    for below in folder.folders:
        reading = read_name(image_stem(below))
        if reading.meaning not in (None, MASK) or (reading.meaning == MASK and reading.prefix):
            images = list_folder(below).images
            if len(images) == 1:
                files.append((images[0], reading))
                continue
        rest.append(below)
    return files, rest


def _best(candidates: list[NamedFile]) -> list[NamedFile]:
    """Those with the shortest text behind the modality (``T1c`` before ``T1c_bias``)."""
    shortest = min((len(reading.suffix) for _, reading in candidates), default=0)
    return [(path, reading) for path, reading in candidates if len(reading.suffix) == shortest]


def _ambiguous(case: str, what: str, paths: list[Path]) -> Fault:
    names = ", ".join(path.name for path in paths)
    return Fault(
        "error",
        case,
        paths[0],
        "several_files",
        f"several files could be {what}: {names}",
        "leave one of them in the folder, or name the files in a CSV",
    )


def _grade(folder: Path) -> str | None:
    parts = [part.upper() for part in folder.resolve().parts]
    return next((part for part in reversed(parts) if part in _GRADES), None)


def _unique_names(folders: Sequence[Path]) -> list[str]:
    """The folders' names; where several are alike, with their parents' names before them."""
    paths = [folder.resolve() for folder in folders]
    names = [path.name for path in paths]
    for level in range(MAXIMUM_DEPTH):
        twice = {name for name, count in Counter(names).items() if count > 1}
        if not twice:
            break
        names = ["_".join(path.parts[-(level + 2) :]) if name in twice else name for name, path in zip(names, paths)]
    return names
