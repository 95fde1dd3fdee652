"""What the integers mean: known conventions, their detection, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.convention_detection import detect_convention
from autobrats.dataset.conventions import above
from autobrats.dataset.known_conventions import KNOWN, convention_named, labels_lost, plain_labels
from autobrats.dataset.reading import read_dataset
from autobrats.errors import UserError

OLD, NEW = {"t1", "t1ce", "t2", "flair"}, {"t1n", "t1c", "t2w", "t2f"}


@pytest.mark.parametrize(
    "name, integer, regions",
    [
        ("brats2012", 3, {"WT", "TC"}),
        ("brats2017", 4, {"WT", "TC", "ET"}),
        ("brats2017", 2, {"WT"}),
        ("brats2023", 3, {"WT", "TC", "ET"}),
        ("brats2023", 1, {"WT", "TC"}),
        ("brats2024", 4, {"RC"}),
        ("brats2024", 3, {"WT", "TC", "ET"}),
        ("brats_ped", 1, {"WT", "TC", "ET"}),
        ("brats_ped", 3, {"WT", "TC", "CC"}),
        ("brats_ped", 4, {"WT"}),
    ],
)
def test_regions_of_a_label(name, integer, regions):
    convention = KNOWN[name]
    inside = convention.to_regions(np.array([integer], np.uint8))[:, 0]
    assert {region for region, hit in zip(convention.regions, inside, strict=True) if hit} == regions


@pytest.mark.parametrize("name", ["brats2017", "brats2023", "brats2024", "brats_ped"])
def test_labels_come_back_from_regions(name):
    assert labels_lost(KNOWN[name]) == {}


def test_only_the_two_parts_of_the_core_before_2017_are_not_told_apart():
    assert labels_lost(KNOWN["brats2012"]) == {3: 1}


@pytest.mark.parametrize(
    "names, spellings, values, folder, expected",
    [
        (["BraTS2021_00002"], OLD, {1, 2, 4}, "", "brats2017"),
        (["BraTS20_Training_001"], OLD, {1, 2}, "", "brats2017"),
        (["BraTS-GLI-00000-000"], NEW, {1, 2, 3}, "", "brats2023"),
        (["BraTS-SSA-00002-000"], NEW, {1, 2}, "", "brats2023"),
        (["BraTS-MET-00002-000"], NEW, {1, 2, 3, 4}, "", "brats2024"),
        (["BraTS-GLI-02066-103"], NEW, {1, 2, 3}, "", "brats2024"),
        (["BraTS-GLI-00005-100"], NEW, {1, 2, 3}, "", "brats2024"),
        (["BraTS-GLI-00005-001"], NEW, {1, 2, 3}, "", "brats2023"),
        (["BraTS-GLI-00000-000", "BraTS-GLI-02066-103"], NEW, {1, 2, 3}, "", "brats2024"),
        (["BraTS-PED-00002-000"], NEW, {1, 2, 3}, "", "brats_ped"),
        (["BraTS-PED-00002-000"], NEW, {1, 2, 3}, "ASNR-MICCAI-BraTS2023-PED", "brats2023"),
        (["BraTS-PED-00002-000"], NEW, {1, 2, 3, 4}, "BraTS2023", "brats_ped"),
        (["brats_2013_pat0001_1"], {"t1c", "flair"}, {1, 2, 4}, "", "brats2012"),
        (["Brats18_2013_21_1"], OLD, {1, 2, 4}, "", "brats2017"),
        (["BraTS-MEN-RT-0012-1"], NEW, {1}, "", "plain"),
        (["a", "b"], OLD, {1, 2, 4}, "", "brats2017"),
        (["a", "b"], NEW, {1, 2, 3}, "", "brats2023"),
        (["a", "b"], NEW, {1, 2, 3, 4}, "", "brats2024"),
        (["a", "b"], OLD, {1, 2}, "", "brats2017"),
        (["a", "b"], NEW, {1, 2}, "", "brats2023"),
        (["a", "b"], NEW, {1}, "", "plain"),
        (["a", "b"], NEW, {1, 5}, "", "plain"),
        (["a"], NEW, {1, 2, 3}, "data/BraTS2024", "brats2024"),
        (["a"], OLD, set(), "", "brats2017"),
    ],
)
def test_detection(names, spellings, values, folder, expected):
    convention, evidence = detect_convention(names, spellings, {"a": values} if values else {}, folder)
    assert convention.name == expected
    assert values <= set(convention.labels.values())
    assert evidence


@pytest.mark.parametrize(
    "names, values, expected",
    [
        (["BraTS-GLI-00000-000"], {1, 2, 4}, "brats2017"),
        (["BraTS2021_00002"], {1, 2, 3}, "brats2023"),
    ],
)
def test_masks_win_over_names_and_it_is_said(names, values, expected):
    convention, evidence = detect_convention(names, NEW, {"a": values})
    assert convention.name == expected
    assert "contradict the names" in evidence


def test_an_ambiguous_set_of_labels_is_said(tmp_path):
    _, evidence = detect_convention(["a"], NEW, {"a": {1, 2, 3, 4}})
    assert "brats2012, brats2024 and brats_ped" in evidence and "--convention" in evidence


def test_names_of_conventions():
    assert convention_named("BraTS2021").name == "brats2017"
    assert convention_named("brats-ped").name == "brats_ped"
    assert convention_named("plain", {0, 2}).regions == {"label_2": [2]}
    with pytest.raises(UserError, match=r"no convention 'brats1999'; known: brats2012, .*plain"):
        convention_named("brats1999")


def test_plain_labels_exclude_each_other():
    convention = plain_labels({"a": 1, "b": 7})
    assert convention.exclusive and labels_lost(convention) == {}


def test_rounded_probabilities_are_cut_where_exact_ones_are():
    levels = np.arange(256, dtype=np.uint8)
    for threshold in (*np.linspace(0, 1, 41), 0.5001, 127 / 255, 128 / 255):
        expected = levels / 255 > threshold
        exactly_on_it = np.isclose(levels / 255, threshold, rtol=0, atol=1e-7)
        assert np.array_equal(above(levels, threshold)[~exactly_on_it], expected[~exactly_on_it])
        assert above(levels, threshold).dtype == bool
    convention = KNOWN["brats2017"]
    inside = np.stack([levels, levels // 2, levels // 4])
    assert np.array_equal(convention.decide(inside, 0.3), convention.decide(inside / np.float32(255), 0.3))
    assert set(np.unique(convention.decide(inside, 0.2))) == {0, 1, 2, 4}


def test_an_integer_that_no_mask_file_can_hold_is_no_label():
    convention = plain_labels({"a": 300})
    with pytest.raises(OverflowError):
        convention.to_labels(np.ones((1, 2, 2, 2), bool))


@pytest.fixture
def folder(tmp_path, write_image, write_mask_file):
    for index in range(3):
        name = f"BraTS-GLI-0000{index}-000"
        for modality in ("t1n", "t1c"):
            write_image(tmp_path / name / f"{name}-{modality}.nii.gz")
        write_mask_file(tmp_path / name / f"{name}-seg.nii.gz", (1, 2, 4))
    return tmp_path


def test_contradiction_is_a_warning_and_can_be_overridden(folder):
    dataset, faults = read_dataset(folder, name="x")
    assert dataset.convention.name == "brats2017"
    assert any(fault.kind == "convention" and fault.severity == "warning" for fault in faults)
    dataset, faults = read_dataset(folder, name="x", convention="brats2024")
    assert dataset.convention.name == "brats2024" and dataset.convention_evidence == "it was chosen by name"
    assert not any(fault.kind == "convention" for fault in faults)


def test_several_years_in_one_folder_are_a_warning(folder, write_image, write_mask_file):
    write_image(folder / "BraTS2021_00001" / "BraTS2021_00001_t1.nii.gz")
    write_mask_file(folder / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz")
    _, faults = read_dataset(folder, name="x")
    assert any("several conventions" in fault.message for fault in faults)
