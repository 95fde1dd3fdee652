"""What integers mean on both sides, and predictions in the references' integers."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN
from autobrats.errors import UserError
from autobrats.evaluation.label_maps import LabelMaps, find_label_maps
from autobrats.evaluation.label_meaning import (
    LabelMeaning,
    check_integers,
    find_meaning,
    reference_convention,
    translation_table,
)


def write(folder: Path, labels: set[int], names: tuple[str, ...] = ("a", "b")) -> LabelMaps:
    """Label maps of which each holds all the labels."""
    folder.mkdir()
    array = np.zeros((6, 2, 2), np.uint8)
    array[: len(labels), 0, 0] = sorted(labels)
    for name in names:
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{name}.nii.gz")
    return find_label_maps(folder, "reference")


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("BraTS20_Training_001", {1, 2, 4}, "brats2017"),
        ("BraTS-GLI-00001-000", {1, 2, 3}, "brats2023"),
        ("patient", {1, 2, 4}, "brats2017"),
        ("patient", {1, 2, 3}, "brats2023"),
        ("patient", {1, 2}, "plain"),
        ("patient", {1, 5}, "plain"),
    ],
)
def test_references_are_read_by_names_and_integers(tmp_path: Path, name: str, labels: set[int], expected: str) -> None:
    convention, _ = reference_convention(write(tmp_path / "r", labels, (name,)))
    assert convention.name == expected
    if expected == "plain":
        assert list(convention.regions.values()) == [[label] for label in sorted(labels)]


def test_the_user_decides(tmp_path: Path) -> None:
    maps = write(tmp_path / "r", {1, 2, 3})
    assert reference_convention(maps, "brats2024")[0].name == "brats2024"
    assert list(reference_convention(maps, "plain")[0].regions) == ["label_1", "label_2", "label_3"]
    with pytest.raises(UserError, match="There is no convention 'brats1999'"):
        reference_convention(maps, "brats1999")


def test_empty_references_cannot_be_plain(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to score"):
        reference_convention(write(tmp_path / "r", set()))


@pytest.mark.parametrize(
    ("reference", "labels", "expected"),
    [
        ("brats2017", {1, 2, 3}, "brats2023"),
        ("brats2023", {1, 2, 4}, "brats2017"),
        ("brats2017", {1, 2}, "brats2017"),
        ("brats2017", {1, 2, 3, 4}, "brats2017"),
        ("brats2017", {7}, "brats2017"),
    ],
)
def test_predictions_are_read_alike_unless_they_cannot_be(
    tmp_path: Path, reference: str, labels: set[int], expected: str
) -> None:
    meaning = find_meaning(KNOWN[reference], write(tmp_path / "p", labels))
    assert meaning.prediction.name == expected
    assert bool(meaning.notes) == (expected != reference)


def test_regions_survive_the_translation() -> None:
    labels = np.array([0, 1, 2, 3], np.uint8)
    meaning = LabelMeaning(KNOWN["brats2017"], KNOWN["brats2023"])
    table = translation_table(meaning)
    assert table is not None and table[labels].tolist() == [0, 1, 2, 4]
    before, after = KNOWN["brats2023"].to_regions(labels), KNOWN["brats2017"].to_regions(table[labels])
    assert np.array_equal(before, after)
    assert translation_table(LabelMeaning(KNOWN["brats2017"], KNOWN["brats2017"])) is None


def test_a_region_that_the_predictions_lack_is_not_scored(tmp_path: Path) -> None:
    meaning = find_meaning(KNOWN["brats2024"], write(tmp_path / "p", {1, 2, 3}), "brats2017")
    assert list(meaning.reference.regions) == ["WT", "TC", "ET"]
    assert "RC is not scored" in meaning.notes[1]
    table = translation_table(meaning)
    assert table is not None and table[[0, 1, 2, 4]].tolist() == [0, 1, 2, 3]
    lesions = write(tmp_path / "q", {1})
    with pytest.raises(UserError, match="no region in common"):
        find_meaning(KNOWN["brats2024"], lesions, "plain")


def test_unknown_integers_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mask\.nii holds the labels 3, 9, which brats2017 does not have"):
        check_integers(np.array([[[0, 1, 3, 9]]], np.uint8), KNOWN["brats2017"], Path("mask.nii"))
    check_integers(np.zeros((1, 1, 1), np.uint8), KNOWN["brats2017"], Path("mask.nii"))
