"""nnU-Net's raw layout: dataset.json, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz; labels or region lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autobrats.dataset.brats_layout import mask_without_image, patient_of
from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import glioma_labels, labels_lost, plain_labels
from autobrats.dataset.layout import Found, list_folder
from autobrats.dataset.modality_names import canonical_modality
from autobrats.dataset.volumes import image_suffix
from autobrats.errors import UserError
from autobrats.files import read_json

_REGION_NAMES = {
    "WT": ("whole tumor", "whole tumour", "wt", "whole"),
    "TC": ("tumor core", "tumour core", "tc", "core"),
    "ET": ("enhancing tumor", "enhancing tumour", "et", "enhancing"),
    "RC": ("resection cavity", "rc", "cavity"),
}


def read_nnunet(root: Path, images_folder: str = "imagesTr") -> Found | None:
    """The cases of an nnU-Net raw dataset; None if the folder is none.

    Raises:
        UserError: for a dataset.json without channels or labels, with an ignore label, or whose regions_class_order
            cannot be painted.
    """
    description = _description(root)
    if description is None:
        return None
    file = root / "dataset.json"
    modalities = channel_modalities(description, file)
    ending = str(description.get("file_ending", ".nii.gz"))
    found = Found("nnunet", modalities=modalities, convention=read_labels(description, file))
    for name, (images, mask) in sorted(_files(root, images_folder, ending, description, modalities).items()):
        if not images:
            if mask is not None:
                found.faults.append(mask_without_image(name, mask.path))
            continue
        patient, timepoint = patient_of(name)
        found.cases.append(Case(name=name, patient=patient, timepoint=timepoint, images=images, mask=mask))
    return found


def channel_modalities(description: Mapping[str, Any], file: Path) -> list[str]:
    """The modalities of dataset.json's ``channel_names`` (or ``modality``) in order, the four of MR by our names.

    Raises:
        UserError: if there are none.
    """
    channels = description.get("channel_names") or description.get("modality")
    if isinstance(channels, list):
        channels = dict(enumerate(channels))
    if not isinstance(channels, dict) or not channels:
        raise UserError(f'{file} has no \'channel_names\'; add for example {{"0": "T1", "1": "FLAIR"}}.')
    try:
        names = [str(channels[key]) for key in sorted(channels, key=int)]
    except ValueError:
        names = [str(name) for name, _ in sorted(channels.items(), key=lambda item: int(item[1]))]
    canonical = [canonical_modality(name) for name in names]
    if len(names) > 1 and None not in canonical and len(set(canonical)) == len(names):
        return [str(name) for name in canonical]
    if len(set(names)) < len(names):
        return [f"{name}_{index}" for index, name in enumerate(names)]
    return [name.replace(" ", "_").replace("/", "_") for name in names]


def read_labels(description: Mapping[str, Any], file: Path) -> Convention:
    """The convention of dataset.json's ``labels``, with region lists and ``regions_class_order`` if there are any.

    Raises:
        UserError: for no labels, an ignore label, or regions that regions_class_order does not paint.
    """
    labels = description.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise UserError(f'{file} has no \'labels\'; add for example {{"background": 0, "tumour": 1}}.')
    try:
        integers = _integers_by_name(labels)
    except (TypeError, ValueError):
        raise UserError(f"{file}: the labels must be integers or lists of integers, not {labels}.") from None
    if "ignore" in integers:
        raise UserError(
            f"{file} has the label 'ignore', which is not supported yet; remove it from 'labels' and from the masks."
        )
    integers = {name: values for name, values in integers.items() if values != [0] and name.lower() != "background"}
    if all(len(values) == 1 for values in integers.values()) and "regions_class_order" not in description:
        plain = {name: values[0] for name, values in integers.items()}
        return glioma_labels(plain) or plain_labels(plain)
    return _region_convention(integers, description.get("regions_class_order"), file)


def is_nnunet(description: Mapping[str, Any], root: Path) -> bool:
    """Whether a dataset.json is nnU-Net's (and not the Decathlon's, whose images are 4D)."""
    if "channel_names" in description or "file_ending" in description:
        return True
    images = root / "imagesTr"
    return "labels" in description and images.is_dir() and any(images.glob("*_0000.*"))


def _description(root: Path) -> dict[str, Any] | None:
    file = root / "dataset.json"
    if not file.is_file():
        return None
    description = read_json(file)
    return description if isinstance(description, dict) and is_nnunet(description, root) else None


def _integers_by_name(labels: Mapping[str, Any]) -> dict[str, list[int]]:
    if all(str(key).isdigit() and isinstance(value, str) for key, value in labels.items()):
        return {value: [int(key)] for key, value in labels.items()}
    return {
        str(name): [int(value) for value in values] if isinstance(values, (list, tuple)) else [int(values)]
        for name, values in labels.items()
    }


def _region_convention(regions: dict[str, list[int]], order: Any, file: Path) -> Convention:
    if not isinstance(order, list) or len(order) != len(regions):
        raise UserError(
            f"{file} has {len(regions)} regions ({', '.join(regions)}), so 'regions_class_order' must list "
            f"{len(regions)} labels, the one to paint for each region in that order."
        )
    named = {_region_name(name): values for name, values in regions.items()}
    if len(named) < len(regions):
        named = regions
    for (name, values), label in zip(named.items(), order, strict=True):
        if int(label) not in values:
            raise UserError(
                f"{file}: regions_class_order paints label {label} for the region '{name}' of labels {values}; "
                "list for each region, in the order of 'labels', one of its own labels."
            )
    integers = sorted({value for values in named.values() for value in values})
    convention = Convention(
        name="dataset_json",
        labels={f"label_{value}": value for value in integers},
        regions=named,
        paint=[(name, int(label)) for name, label in zip(named, order, strict=True)],
    )
    members = {value: {name for name, values in named.items() if value in values} for value in integers}
    for before, after in labels_lost(convention).items():
        if members.get(after) != members[before]:
            raise UserError(
                f"{file}: with regions_class_order {order}, label {before} would be written back as {after}; "
                "list the larger regions first."
            )
    return convention


def _region_name(name: str) -> str:
    plain = name.lower().replace("_", " ").replace("-", " ").strip()
    return next((region for region, names in _REGION_NAMES.items() if plain in names), name.replace(" ", "_"))


def _files(
    root: Path, images_folder: str, ending: str, description: Mapping[str, Any], modalities: list[str]
) -> dict[str, tuple[dict[str, ImageFile], ImageFile | None]]:
    """By case, its images by modality and its mask."""
    listed = description.get("dataset")
    if isinstance(listed, dict) and images_folder == "imagesTr":
        return {
            name: (
                {
                    modality: ImageFile(path=(root / path).resolve())
                    for modality, path in zip(modalities, entry["images"], strict=False)
                },
                ImageFile(path=(root / entry["label"]).resolve()) if entry.get("label") else None,
            )
            for name, entry in listed.items()
        }
    cases: dict[str, tuple[dict[str, ImageFile], ImageFile | None]] = {}
    if (root / images_folder).is_dir():
        for path in list_folder(root / images_folder).images:
            stem, _, number = _without(path, ending).rpartition("_")
            if len(number) == 4 and number.isdigit() and int(number) < len(modalities):
                cases.setdefault(stem, ({}, None))[0][modalities[int(number)]] = ImageFile(path=path)
    masks = root / images_folder.replace("images", "labels")
    if masks.is_dir():
        for path in list_folder(masks).images:
            name = _without(path, ending)
            cases[name] = (cases.get(name, ({}, None))[0], ImageFile(path=path))
    return {name: ({m: images[m] for m in modalities if m in images}, mask) for name, (images, mask) in cases.items()}


def _without(path: Path, ending: str) -> str:
    suffix = ending if path.name.endswith(ending) else image_suffix(path) or ""
    return path.name[: len(path.name) - len(suffix)]
