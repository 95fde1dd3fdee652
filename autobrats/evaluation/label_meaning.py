"""What the integers of references and predictions mean, and predictions in the references' integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.cases import ImageFile
from autobrats.dataset.convention_detection import conventions_of_names, detect_convention
from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import convention_named, plain_labels
from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.dataset.volumes import read_mask
from autobrats.errors import UserError
from autobrats.evaluation.label_maps import LabelMaps

SAMPLED = 24
"""So many label maps of a side are looked at to find its convention; all references, if their labels are plain."""


@dataclass(frozen=True)
class LabelMeaning:
    """How the two sides are read.

    Attributes:
        reference: the references' convention, with the regions that both sides know: those are scored.
        prediction: the predictions' convention.
        notes: sentences on what the predictions' convention changes.
    """

    reference: Convention
    prediction: Convention
    notes: tuple[str, ...] = ()


def reference_convention(maps: LabelMaps, wanted: str | None = None) -> tuple[Convention, str]:
    """The references' convention and why: the one named, else by dataset.json, names and integers.

    Raises:
        UserError: for an unknown name, or references without labels.
    """
    if wanted is not None:
        return _named(wanted, maps), "chosen by name"
    if maps.convention is not None:
        return maps.convention, "dataset.json says what the labels mean"
    sample = integers_of(maps, SAMPLED)
    if _may_be_glioma(maps, set().union(*sample.values())):
        folder = "/".join(maps.root.resolve().parts[-2:])
        convention, evidence = detect_convention(sorted(maps.files), maps.spellings, sample, folder)
        if convention.name != "plain":
            return convention, evidence
    return _plain(maps), "each label is its own region; say --convention if they are a glioma's"


def find_meaning(reference: Convention, predictions: LabelMaps, wanted: str | None = None) -> LabelMeaning:
    """How predictions are read beside references of a convention.

    As the references are, unless they hold an integer that these cannot have, lack one that these have, and another
    convention explains it: ET = 3 against ET = 4. With one integer too many they are faulty.

    Args:
        wanted: the name of the predictions' convention, where the user says it.

    Raises:
        UserError: for an unknown name, or conventions without a region in common.
    """
    if wanted is not None:
        prediction = _named(wanted, predictions)
        return _shared(reference, prediction, "as chosen")
    found, known = set().union(*integers_of(predictions, SAMPLED).values()), set(reference.labels.values())
    if found <= known or known <= found:
        return LabelMeaning(reference, reference)
    other, _ = detect_convention(sorted(predictions.files), set(), {"": found})
    if found <= set(other.labels.values()) and set(other.regions) & set(reference.regions) and other.name != "plain":
        return _shared(reference, other, f"because they hold the labels {', '.join(map(str, sorted(found)))}")
    return LabelMeaning(reference, reference)


def integers_of(maps: LabelMaps, most: int | None = None) -> dict[str, set[int]]:
    """By case, the integers but 0 in its label map; of at most so many, spread over the cases.

    Files that cannot be read are passed over: they are reported when they are scored.
    """
    names = sorted(maps.files)
    count = min(len(names), most or len(names))
    found = {}
    for name in (names[index * len(names) // count] for index in range(count)):
        try:
            found[name] = integers_in(read_mask(ImageFile(path=maps.files[name])))
        except UserError:
            continue
    return found


def integers_in(labels: np.ndarray) -> set[int]:
    """The integers but 0 in a label map, uint8, shape (z, y, x)."""
    box = bounding_slices(labels)
    return set() if box is None else set(np.flatnonzero(np.bincount(labels[box].ravel())).tolist()) - {0}


def check_integers(labels: np.ndarray, convention: Convention, file: Path) -> None:
    """UserError if a label map, uint8, shape (z, y, x), holds an integer that its convention does not know."""
    known = sorted(convention.labels.values())
    if unknown := sorted(integers_in(labels) - set(known)):
        raise UserError(
            f"{file} holds the label{'s' * (len(unknown) > 1)} {', '.join(map(str, unknown))}, which "
            f"{convention.name} does not have (it has {', '.join(map(str, known))}); correct the file, or say "
            "--convention or --prediction-convention."
        )


def translation_table(meaning: LabelMeaning) -> np.ndarray | None:
    """For each integer of the predictions, the references' integer in the same regions: uint8, shape (256,).

    None where nothing has to be translated. A label that lies in no region that both sides know becomes 0.

    Raises:
        UserError: if the references have no label in just those regions.
    """
    source, target = meaning.prediction, meaning.reference
    if source is target:
        return None
    shared = [region for region in target.regions if region in source.regions]
    by_regions: dict[frozenset[str], int] = {frozenset(): 0}
    for integer in target.labels.values():
        by_regions.setdefault(_regions_of(integer, target.regions, shared), integer)
    table = np.zeros(256, np.uint8)
    for name, integer in source.labels.items():
        regions = _regions_of(integer, source.regions, shared)
        if regions not in by_regions:
            raise UserError(
                f"The predictions' label {integer} ({name} of {source.name}) lies in {', '.join(sorted(regions))}, and "
                f"{target.name} has no label in just these; write the predictions in {target.name}."
            )
        table[integer] = by_regions[regions]
    return table


def _may_be_glioma(maps: LabelMaps, found: set[int]) -> bool:
    """Whether names or images are those of glioma studies, or the labels of one in full are there."""
    of_a_year = bool(conventions_of_names(list(maps.files)))
    return (
        of_a_year
        or len(set(maps.modalities) & set(MR_MODALITIES)) >= 2
        or found in ({1, 2, 4}, {1, 2, 3}, {1, 2, 3, 4})
    )


def _named(name: str, maps: LabelMaps) -> Convention:
    convention = convention_named(name)
    return _plain(maps) if convention.name == "plain" else convention


def _plain(maps: LabelMaps) -> Convention:
    values = set().union(*integers_of(maps).values())
    if not values:
        raise UserError(f"No label map in {maps.root} could be read and holds a label: there is nothing to score.")
    return plain_labels({f"label_{value}": value for value in sorted(values)})


def _shared(reference: Convention, prediction: Convention, why: str) -> LabelMeaning:
    """The meaning with the regions that both conventions have."""
    regions = {name: integers for name, integers in reference.regions.items() if name in prediction.regions}
    if not regions:
        raise UserError(
            f"The predictions' convention {prediction.name} and the references' {reference.name} have no region in "
            f"common: {', '.join(prediction.regions)} and {', '.join(reference.regions)}."
        )
    notes = [f"the predictions are read as {prediction.name}, {why}"]
    if missing := [name for name in reference.regions if name not in regions]:
        notes.append(f"{', '.join(missing)} is not scored: {prediction.name} does not have it")
    scored = reference.model_copy(update={"regions": regions})
    return LabelMeaning(scored, prediction, tuple(notes))


def _regions_of(integer: int, regions: Mapping[str, Sequence[int]], shared: Sequence[str]) -> frozenset[str]:
    return frozenset(region for region in shared if integer in regions[region])
