"""Every fault is found, named, and told apart from what is only unusual."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.integrity import check_dataset, check_loaded, check_study, expects_brains
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_study
from autobrats.fingerprint.survey import survey

BRATS = KNOWN["brats2017"]
MODALITIES = ["t1n", "t1c"]
SPACING = np.diag([-6.0, -6, 6, 1])
"""24 voxels of 6 mm: 3 litres are in view."""


def brain(shift: int = 0, radius: float = 65.0) -> np.ndarray:
    """A ball of 1.15 litres in a zero background, shape (24, 24, 24)."""
    grid = (np.indices((24, 24, 24)) - 11.5) * 6
    grid[0] -= shift * 6
    inside = np.linalg.norm(grid, axis=0) < radius
    return np.where(inside, np.random.default_rng(shift).integers(100, 900, inside.shape), 0).astype(np.int16)


def tumour(*labels: int, dtype: type = np.uint8) -> np.ndarray:
    mask = np.zeros((24, 24, 24), dtype)
    for index, label in enumerate(labels):
        mask[10 + index, 10:13, 10:13] = label
    return mask


@pytest.fixture
def case_of(tmp_path, write_image) -> Callable[..., Case]:
    """A case of arrays; a name of ``mask`` is its mask."""

    def make(name: str = "case1", affines: dict[str, np.ndarray] | None = None, **arrays: np.ndarray) -> Case:
        files = {
            what: ImageFile(
                path=write_image(tmp_path / name / f"{what}.nii.gz", array, (affines or {}).get(what, SPACING))
            )
            for what, array in arrays.items()
        }
        mask = files.pop("mask", None)
        return Case(name=name, patient=name, images=files, mask=mask)

    return make


def kinds(case: Case, brains: bool = True, convention=BRATS) -> list[tuple[str, str]]:
    return [(fault.severity, fault.kind) for fault in check_study(case, MODALITIES, convention, brains).faults]


def test_a_sound_study(case_of):
    study = check_study(case_of(t1n=brain(), t1c=brain() * 2, mask=tumour(1, 2, 4)), MODALITIES, BRATS, True)
    assert study.faults == [] and study.usable
    assert set(study.volumes) == set(study.digests) == {"t1n", "t1c"}


def test_unreadable_files_do_not_hide_each_other(case_of):
    case = case_of(t1n=brain(), t1c=brain(), mask=tumour(1))
    for file in (case.images["t1n"].path, case.mask.path):
        file.write_bytes(file.read_bytes()[:200])
    faults = check_study(case, MODALITIES, BRATS, True).faults
    assert [(fault.kind, fault.file.name) for fault in faults] == [
        ("unreadable", "t1n.nii.gz"),
        ("unreadable", "mask.nii.gz"),
    ]
    assert all(fault.case == "case1" and fault.remedy for fault in faults)


def test_other_grids(case_of):
    shifted = SPACING.copy()
    shifted[0, 3] = 20
    case = case_of(affines={"t1c": shifted, "mask": shifted}, t1n=brain(), t1c=brain(), mask=tumour(1))
    assert kinds(case) == [("error", "other_grid"), ("error", "other_grid")]
    nearly = SPACING * (1 + 1e-4)
    case = case_of("nearly", {"t1c": nearly, "mask": nearly}, t1n=brain(), t1c=brain(), mask=tumour(1))
    assert kinds(case) == []


def test_voxels_that_are_no_numbers_and_constant_images(case_of):
    broken = brain().astype(np.float32)
    broken[0, 0, :2] = np.nan, np.inf
    study = check_study(case_of(t1n=broken, t1c=np.zeros((24, 24, 24), np.int16)), MODALITIES, BRATS, True)
    assert [fault.kind for fault in study.faults] == ["non_finite", "constant_image"]
    assert (
        study.faults[0].message.startswith("2 voxels of t1n") and study.faults[1].message == "every voxel of t1c is 0"
    )
    assert not study.usable


def test_a_head_with_its_skull(case_of):
    noise = np.random.default_rng(0).integers(1, 900, (24, 24, 24)).astype(np.int16)
    case = case_of(t1n=noise, t1c=noise[::-1], mask=tumour(1))
    assert kinds(case) == [("error", "not_skull_stripped")]
    assert kinds(case, brains=False) == []
    (fault,) = check_loaded(read_study(case, MODALITIES), case)
    assert fault.kind == "not_skull_stripped" and "3.0 litres" in fault.message


def test_faint_ringing_around_a_stripped_brain_is_no_skull(case_of):
    ringing = brain().astype(np.float32)
    ringing[ringing == 0] = np.random.default_rng(0).normal(0, 0.5, (ringing == 0).sum())
    assert kinds(case_of(t1n=ringing, mask=tumour(1))) == []


def test_brains_that_do_not_overlap(case_of):
    small = brain(radius=56)
    assert kinds(case_of(t1n=brain(), t1c=brain(shift=6))) == [("error", "not_co_registered")]
    assert kinds(case_of("partial", t1n=brain(), t1c=small)) == [("warning", "not_co_registered")]


def test_crops_and_normalised_images_are_not_taken_for_heads(case_of):
    crop = np.random.default_rng(0).normal(0, 1000, (24, 24, 24)).astype(np.int16)
    millimetres = np.diag([-1.0, -1, 1, 1])
    case = case_of(affines=dict.fromkeys(("t1n", "t1c", "mask"), millimetres), t1n=crop, t1c=crop + 1, mask=tumour(1))
    assert kinds(case) == []
    normalised = (brain().astype(np.float32) - 500) / 200
    assert kinds(case_of("z", t1n=normalised, t1c=normalised * 2, mask=tumour(1, 2))) == []


def test_masks(case_of):
    images = {"t1n": brain(), "t1c": brain() * 2}
    assert kinds(case_of("a", **images, mask=tumour())) == [("warning", "empty_mask")]
    assert kinds(case_of("b", **images, mask=tumour(1, 3, 9))) == [("error", "unexpected_label")]
    assert kinds(case_of("c", **images, mask=tumour(1, 2, dtype=np.float32) * np.float32(0.7))) == [
        ("error", "not_whole")
    ]
    assert kinds(case_of("d", **images, mask=np.roll(tumour(1), (12, 12), (0, 1)))) == [
        ("warning", "mask_outside_brain")
    ]
    (fault,) = check_study(case_of("b", **images, mask=tumour(1, 3, 9)), MODALITIES, BRATS, True).faults
    assert fault.message == "label 3, 9 in the mask is none of the convention brats2017 (0, 1 NCR, 2 ED, 4 ET)"


def dataset_of(cases: list[Case]) -> Dataset:
    return Dataset(name="x", root=Path("/"), layout="brats", modalities=MODALITIES, convention=BRATS, cases=cases)


def test_the_same_image_twice(case_of):
    cases = [case_of("a", t1n=brain(), mask=tumour(1)), case_of("b", t1c=brain(), mask=tumour(1))]
    cases.append(case_of("c", t1n=brain(1), t1c=brain(1), mask=tumour(1)))
    _, faults = survey(dataset_of(cases))
    duplicates = [fault for fault in faults if fault.kind == "duplicate_image"]
    assert [(fault.case, fault.severity) for fault in duplicates] == [("b", "error"), ("c", "error")]
    assert "as t1n of case a" in duplicates[0].message and "as its t1n" in duplicates[1].message


@pytest.mark.parametrize("patients, said", [(1, "no cross-validation"), (3, "there will be 3 folds"), (5, None)])
def test_few_patients(patients, said):
    mask = ImageFile(path=Path("m.nii"))
    cases = [Case(name=f"{i}", patient=f"{i % patients}", images={}, mask=mask) for i in range(10)]
    faults = check_dataset(dataset_of(cases), {})
    assert [fault.severity for fault in faults] == (["warning"] if said else [])
    assert all(said in fault.message for fault in faults)


def test_where_brains_are_expected():
    assert expects_brains(["t1c"], BRATS) and expects_brains(["t1n", "t2f"], BRATS)
    assert not expects_brains(["t1n", "t2w"], plain_labels({"liver": 1}))
    assert not expects_brains(["t1n"], plain_labels({"hippocampus": 1}))
    assert not expects_brains(["MRI"], plain_labels({"Anterior": 1, "Posterior": 2}))


@pytest.mark.realdata
def test_native_studies_are_refused(realdata):
    dataset, _ = read_dataset(realdata / "unregistered_native", name="native", masks="optional")
    _, faults = survey(dataset)
    assert [(fault.case, fault.kind, fault.severity) for fault in faults] == [
        ("TCGA-02-0054", "not_skull_stripped", "error"),
        ("TCGA-02-0060", "not_skull_stripped", "error"),
    ]


@pytest.mark.realdata
@pytest.mark.parametrize("folder", ["BraTS2021", "BraTS2018", "BraTS2023", "two_modalities"])
def test_real_studies_are_sound(realdata, folder):
    dataset, faults = read_dataset(realdata / "brats_full" / folder, name="sound")
    dataset.cases = dataset.cases[:1]
    fingerprint, more = survey(dataset)
    assert [fault for fault in faults + more if fault.severity == "error"] == []
    assert list(fingerprint.cases) == [dataset.cases[0].name]


@pytest.mark.realdata
def test_unpaired_files_are_named(realdata):
    _, faults = read_dataset(realdata / "faulty" / "unpaired", name="unpaired")
    assert {(fault.case, fault.kind) for fault in faults} == {
        ("hippocampus_118", "missing_mask"),
        ("hippocampus_010", "mask_without_image"),
        ("hippocampus_281", "mask_without_image"),
    }
