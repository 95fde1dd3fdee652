"""The Medical Segmentation Decathlon's layout: dataset.json with a list of training pairs, 4D images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autobrats.dataset.brats_layout import mask_without_image, patient_of
from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.faults import Fault
from autobrats.dataset.layout import Found, list_folder
from autobrats.dataset.nnunet_layout import channel_modalities, read_labels
from autobrats.dataset.volumes import image_stem
from autobrats.errors import UserError
from autobrats.files import read_json


def read_msd(root: Path, section: str = "training") -> Found | None:
    """The cases of a Decathlon task; None if the folder is none.

    Args:
        section: ``training`` or ``test``, the list of dataset.json to read.

    Raises:
        UserError: if the lists in dataset.json are not what the Decathlon defines.
    """
    file = root / "dataset.json"
    if not file.is_file():
        return None
    description = read_json(file)
    if not isinstance(description, dict) or not isinstance(description.get("training"), list):
        return None
    modalities = channel_modalities(description, file)
    found = Found("msd", modalities=modalities, convention=read_labels(description, file))
    listed = set()
    for entry in description.get(section) or []:
        image, label = _pair(entry, root, file)
        listed.add(label)
        name = image_stem(image)
        if not image.is_file():
            found.faults.append(
                Fault(
                    "error",
                    name,
                    image,
                    "missing_file",
                    f"{file.name} lists it, but it does not exist",
                    "copy the file there, or take it off the list",
                )
            )
            continue
        channels = {m: ImageFile(path=image, channel=index) for index, m in enumerate(modalities)}
        images = channels if len(modalities) > 1 else {modalities[0]: ImageFile(path=image)}
        mask = ImageFile(path=label) if label is not None and label.is_file() else None
        patient, timepoint = patient_of(name)
        found.cases.append(Case(name=name, patient=patient, timepoint=timepoint, images=images, mask=mask))
    if section == "training" and (root / "labelsTr").is_dir():
        for path in list_folder(root / "labelsTr").images:
            if path.resolve() not in listed:
                found.faults.append(mask_without_image(image_stem(path), path))
    return found


def _pair(entry: Any, root: Path, file: Path) -> tuple[Path, Path | None]:
    if isinstance(entry, str):
        return (root / entry).resolve(), None
    if not isinstance(entry, dict) or "image" not in entry:
        raise UserError(f"{file}: an entry of its list is {entry!r}; it must have the keys 'image' and 'label'.")
    label = entry.get("label")
    return (root / entry["image"]).resolve(), (root / label).resolve() if label else None
