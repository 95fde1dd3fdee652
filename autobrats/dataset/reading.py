"""From a path to a dataset: the layout is recognised, cases.csv honoured, the convention detected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from autobrats.dataset.brats_layout import read_brats
from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.convention_detection import conventions_of_names, detect_convention
from autobrats.dataset.conventions import Convention
from autobrats.dataset.faults import Fault
from autobrats.dataset.flat_layout import read_flat
from autobrats.dataset.known_conventions import convention_named, labels_lost, plain_labels
from autobrats.dataset.layout import Found, what_is_there
from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.dataset.msd_layout import read_msd
from autobrats.dataset.nnunet_layout import read_nnunet
from autobrats.dataset.table_layout import read_csv
from autobrats.dataset.tables import CASES_TABLE, add_tables
from autobrats.dataset.volumes import image_stem, image_suffix, read_mask
from autobrats.errors import UserError

LAYOUTS = ("brats", "flat", "nnunet", "msd", "csv")

_SAMPLED_MASKS = 24


def read_dataset(
    root: Path,
    *,
    name: str,
    layout: str | None = None,
    convention: str | Convention | None = None,
    masks: Literal["required", "optional"] = "required",
) -> tuple[Dataset, list[Fault]]:
    """Read a dataset where it lies: its cases, modalities and convention, and what is missing or unpaired.

    No image is read, but a sample of masks, whose integers help to detect the convention.

    Args:
        root: a folder in any layout, or a CSV file.
        name: of the dataset.
        layout: one of LAYOUTS; None recognises it.
        convention: a known convention's name, or a convention; None detects it.
        masks: with ``required``, a case without a mask is an error.

    Raises:
        UserError: if the path does not exist or no layout fits, with what was looked for and what was found.
    """
    found = find_cases(root, layout)
    root = Path(root).resolve()
    faults = found.faults + (add_tables(root, found.cases) if found.layout != "csv" else [])
    if masks == "required":
        faults += [_missing_mask(case) for case in found.cases if case.mask is None]
    faults += _missing_modalities(found)
    meaning, evidence = _convention(found, convention, root)
    if not meaning.regions and any(case.mask is not None for case in found.cases):
        remedy = "check that the masks are those of these images"
        faults.append(Fault("error", "", None, "no_labels", "no mask holds any label", remedy))
    if convention is None:
        faults += _doubtful_convention(found, meaning, evidence)
    dataset = Dataset(
        name=name,
        root=root,
        layout=found.layout,
        modalities=found.modalities,
        convention=meaning,
        convention_evidence=evidence,
        cases=found.cases,
    )
    return dataset, faults


def read_studies(path: Path, modalities: Sequence[str]) -> tuple[list[Case], list[Fault]]:
    """Studies to predict: any layout, a folder of studies, one study's folder, a CSV, or one image of one modality.

    Masks are not needed. nnU-Net's and the Decathlon's test images are taken where there are any.

    Args:
        modalities: of the model; channel numbers without a dataset.json mean them in this order.

    Returns:
        The studies that have at least one of the modalities, and a fault for each that has none.

    Raises:
        UserError: if no study is found.
    """
    path = Path(path)
    if path.is_file() and image_suffix(path):
        if len(modalities) != 1:
            raise UserError(f"{path} is one image, the model needs {', '.join(modalities)}; give the study's folder.")
        stem = image_stem(path).removesuffix("_0000")
        return [Case(name=stem, patient=stem, images={modalities[0]: ImageFile(path=path.resolve())})], []
    found = find_cases(path, None, modalities, test_images=True)
    cases, faults = [], list(found.faults)
    faults = [fault for fault in faults if fault.kind != "mask_without_image"]
    for case in found.cases:
        if set(found.modalities).isdisjoint(modalities) and len(found.modalities) == len(modalities) == 1:
            (image,) = case.images.values()
            case.images = {modalities[0]: image}
        if set(case.images).isdisjoint(modalities):
            faults.append(
                Fault(
                    "error",
                    case.name,
                    next(iter(case.images.values())).path,
                    "no_modality",
                    f"it has {', '.join(case.images)}, but none of the model's modalities {', '.join(modalities)}",
                    "name the files after the modalities, or list them in a CSV",
                )
            )
        else:
            cases.append(case)
    if path.is_dir():
        add_tables(path.resolve(), cases)
    return cases, faults


def find_cases(
    root: Path, layout: str | None = None, modalities: Sequence[str] = (), test_images: bool = False
) -> Found:
    """The cases under a path, in the layout given or the one recognised.

    Raises:
        UserError: if the path does not exist or no layout fits.
    """
    root = Path(root)
    if not root.exists():
        raise UserError(f"{root} does not exist; give the folder of studies or a CSV.")
    if layout is not None and layout not in LAYOUTS:
        raise UserError(f"There is no layout '{layout}'; known: {', '.join(LAYOUTS)}.")
    root = root.resolve()
    for candidate in (layout,) if layout else ("csv", "nnunet", "msd", "flat", "brats"):
        found = _read_as(candidate, root, modalities, test_images)
        if found is not None and (found.cases or found.faults):
            return found
    if root.is_file():
        raise UserError(f"{root} holds no cases; a CSV needs the columns case, mask and one a modality.")
    what = (
        f"the layout '{layout}'"
        if layout
        else (
            "a folder a case with files such as CASE_t1.nii.gz, CASE-t2f.nii.gz (BraTS), a dataset.json with imagesTr "
            "and labelsTr (nnU-Net, MSD), the folders images and labels, or a CSV"
        )
    )
    raise UserError(f"No studies were recognised in {root}: looked for {what}; found {what_is_there(root)}.")


def _read_as(layout: str, root: Path, modalities: Sequence[str], test_images: bool) -> Found | None:
    if layout == "csv":
        file = root if root.is_file() else root / CASES_TABLE
        return read_csv(file) if file.suffix.lower() == ".csv" and file.is_file() else None
    if root.is_file():
        return None
    if layout == "nnunet":
        found = read_nnunet(root, "imagesTs") if test_images and (root / "imagesTs").is_dir() else None
        return found if found is not None and found.cases else read_nnunet(root)
    if layout == "msd":
        found = read_msd(root, "test") if test_images and (root / "imagesTs").is_dir() else None
        return found if found is not None and found.cases else read_msd(root)
    if layout == "flat":
        return read_flat(root, modalities)
    return read_brats(root)


def _convention(found: Found, wanted: str | Convention | None, root: Path) -> tuple[Convention, str]:
    if isinstance(wanted, Convention):
        return wanted, "it was given"
    if isinstance(wanted, str):
        values = _labels_of(found.cases, len(found.cases)) if wanted == "plain" else {}
        return convention_named(wanted, set().union(*values.values())), "it was chosen by name"
    if found.convention is not None:
        return found.convention, "dataset.json says what the labels mean"
    if len(set(found.modalities) & set(MR_MODALITIES)) >= 2:
        folder = "/".join(root.parts[-2:])
        values = _labels_of(found.cases, _SAMPLED_MASKS)
        return detect_convention([case.name for case in found.cases], found.spellings, values, folder)
    values = _labels_of(found.cases, len(found.cases))
    labels = sorted(set().union(*values.values()) - {0})
    evidence = f"labels {', '.join(map(str, labels))}: each is its own region" if labels else "no mask holds a label"
    return plain_labels({f"label_{label}": label for label in labels}), evidence


def _doubtful_convention(found: Found, convention: Convention, evidence: str) -> list[Fault]:
    """Warnings for evidence that contradicts itself, for several years in one folder, and for labels that get lost."""
    faults = []
    if " contradict " in evidence:
        message = f"the convention is taken to be {convention.name}: {evidence}"
        faults.append(Fault("warning", "", None, "convention", message, "say --convention NAME if this is wrong"))
    proposed = conventions_of_names([case.name for case in found.cases])
    if len(proposed) > 1 and found.convention is None:
        named = "; ".join(f"{name}: {len(names)}, for example {names[0]}" for name, names in proposed.items())
        message = f"the names are those of several conventions ({named})"
        faults.append(Fault("warning", "", None, "convention", message, "plan each year's folder by itself"))
    if lost := labels_lost(convention):
        listed = ", ".join(f"{before} as {after}" for before, after in lost.items())
        message = f"the regions of {convention.name} do not tell all labels apart; written back: {listed}"
        faults.append(Fault("warning", "", None, "convention", message, "nothing, if that distinction is not needed"))
    return faults


def _labels_of(cases: Sequence[Case], most: int) -> dict[str, set[int]]:
    """By case, the integers in at most so many masks, spread over the dataset; unreadable ones are passed over."""
    with_mask = [case for case in cases if case.mask is not None]
    count = min(len(with_mask), most)
    values: dict[str, set[int]] = {}
    for index in range(count):
        case = with_mask[index * len(with_mask) // count]
        assert case.mask is not None
        try:
            values[case.name] = set(np.flatnonzero(np.bincount(read_mask(case.mask).ravel())).tolist())
        except UserError:
            continue
    return values


def _missing_mask(case: Case) -> Fault:
    file = next(iter(case.images.values())).path
    return Fault(
        "error",
        case.name,
        file,
        "missing_mask",
        "the case has no mask",
        "add its mask (for example CASE_seg.nii.gz), or leave the case out with --skip-faulty",
    )


def _missing_modalities(found: Found) -> list[Fault]:
    faults = []
    for case in found.cases:
        if missing := [modality for modality in found.modalities if modality not in case.images]:
            faults.append(
                Fault(
                    "warning",
                    case.name,
                    next(iter(case.images.values())).path,
                    "missing_modality",
                    f"{', '.join(missing)} missing",
                    "nothing, if it was not acquired: it is trained as missing; else add the file",
                )
            )
    absent = [modality for modality in MR_MODALITIES if modality not in found.modalities]
    if absent and len(set(found.modalities) & set(MR_MODALITIES)) >= 2:
        faults.append(
            Fault(
                "warning",
                "",
                None,
                "missing_modality",
                f"no case has {', '.join(absent)}",
                "nothing, if they were not acquired: the model is trained without",
            )
        )
    return faults
