"""Files of many cases side by side in one folder, or images and masks in two folders under the same names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autobrats.dataset.brats_layout import (
    NamedFile,
    holds_several_cases,
    mask_without_image,
    patient_of,
    pick_images,
    pick_mask,
)
from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.layout import Found, list_folder
from autobrats.dataset.modality_names import BRAIN_MASK, MASK, MR_MODALITIES, NameReading, modality_order, read_name
from autobrats.dataset.volumes import image_stem

ONLY_MODALITY = "image"
"""The name of the modality where file names give none."""
IMAGE_FOLDERS = ("images", "image", "imagestr", "img", "scans")
MASK_FOLDERS = ("labels", "label", "labelstr", "masks", "mask", "segmentations", "segs", "seg")

_CHANNEL = re.compile(r"^(.+)_(\d{4})$")


def read_flat(root: Path, modalities: Sequence[str] = ()) -> Found | None:
    """The cases in a folder of files ``CASE_MODALITY``, ``CASE_0000`` or ``CASE``; None if there are none.

    Beside or instead of masks in the same folder there may be two folders, ``images`` and ``labels``.

    Args:
        modalities: what channel numbers (``_0000``) and files without a modality's name mean, if that is known.
    """
    folder = list_folder(root)
    below = {path.name.lower(): path for path in folder.folders}
    image_folder = next((below[name] for name in IMAGE_FOLDERS if name in below), None)
    mask_folder = next((below[name] for name in MASK_FOLDERS if name in below), None)
    if image_folder is not None and mask_folder is not None and not folder.images:
        images = list_folder(image_folder).images
        return _read_files(images, list_folder(mask_folder).images, modalities)
    files = [(path, read_name(image_stem(path))) for path in folder.images]
    named = any(reading.meaning in MR_MODALITIES for _, reading in files)
    if not (holds_several_cases(files) or (modalities and files and not named)):
        return None
    masks = [path for path, reading in files if reading.meaning == MASK]
    return _read_files([path for path in folder.images if path not in masks], masks, modalities)


def _read_files(images: Sequence[Path], masks: Sequence[Path], modalities: Sequence[str]) -> Found:
    found = Found("flat")
    by_case: dict[str, list[NamedFile]] = {}
    numbered: dict[str, dict[str, ImageFile]] = {}
    with_mask = {image_stem(path) for path in masks}
    for path in images:
        stem = image_stem(path)
        # patient_0012 is a channel of "patient" unless there is a mask of the same name: then it is a case.
        channel = None if stem in with_mask else _CHANNEL.match(stem)
        reading = read_name(stem)
        if channel and reading.suffix not in ("", channel[2]):
            reading = NameReading(None, "", stem, "")
        if reading.meaning not in (None, MASK, BRAIN_MASK) and (reading.prefix or not modalities):
            by_case.setdefault(reading.prefix, []).append((path, reading))
        elif channel and reading.meaning is None:
            name = _channel_name(int(channel[2]), modalities)
            numbered.setdefault(channel[1], {})[name] = ImageFile(path=path)
        elif reading.meaning != BRAIN_MASK and len(modalities) <= 1:
            name = re.sub(r"[_-](image|img|im)$", "", stem, flags=re.I)
            numbered.setdefault(name, {})[modalities[0] if modalities else ONLY_MODALITY] = ImageFile(path=path)
    mask_files = _masks_by_case(masks, {*by_case, *numbered})
    for name in sorted({*by_case, *numbered}):
        if name in by_case:
            case_images, spellings = pick_images(name, by_case[name], found.faults)
            found.spellings |= spellings
        else:
            case_images = numbered[name]
        mask = pick_mask(name, mask_files.pop(name, []), found.faults)
        patient, timepoint = patient_of(name)
        found.cases.append(Case(name=name, patient=patient, timepoint=timepoint, images=case_images, mask=mask))
    for name, files in sorted(mask_files.items()):
        found.faults.append(mask_without_image(name, files[0][0]))
    names = {modality for case in found.cases for modality in case.images}
    found.modalities = [name for name in modalities if name in names] or modality_order(names)
    return found


def _channel_name(number: int, modalities: Sequence[str]) -> str:
    if number < len(modalities):
        return modalities[number]
    return f"channel_{number}" if modalities or number else ONLY_MODALITY


def _masks_by_case(masks: Sequence[Path], cases: set[str]) -> dict[str, list[NamedFile]]:
    """Masks under the case's own name, or under its name and ``_seg`` or the like."""
    by_case: dict[str, list[NamedFile]] = {}
    for path in masks:
        stem = image_stem(path)
        reading = read_name(stem)
        name = reading.prefix if stem not in cases and reading.meaning == MASK and reading.prefix else stem
        by_case.setdefault(name, []).append((path, NameReading(MASK, "", name, "")))
    return by_case
