"""The store: what is written is read again, a case is whole or absent, and only what changed is made again."""

from __future__ import annotations

import os

import nibabel
import numpy as np
import pytest

from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.conventions import Convention
from autobrats.errors import UserError
from autobrats.plan import Plan, Preprocessing
from autobrats.preprocessing.dataset import preprocess_dataset
from autobrats.preprocessing.store import LOCATIONS_PER_REGION, CaseStore

CONVENTION = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)


def _plan(spacing=(1.0, 1.0, 1.0)) -> Plan:
    return Plan(
        dataset="glioma",
        modalities=["t1c", "t2f"],
        convention=CONVENTION,
        preprocessing=Preprocessing(crop_to_brain=True, spacing_mm=spacing, normalisation={}),
        configurations={},
    )


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    random = np.random.default_rng(0)
    cases = []
    for number in range(3):
        folder = tmp_path / "raw" / f"case{number}"
        folder.mkdir(parents=True)
        mask = np.zeros((40, 36, 30), np.uint8)
        mask[12:30, 12:28, 10:24] = 2
        mask[15:20, 15:20, 12:18] = 1
        images = {}
        for modality in ("t1c", "t2f"):
            voxels = np.zeros((40, 36, 30), np.int16)
            voxels[5:36, 6:33, 3:28] = random.integers(50, 900, (31, 27, 25))
            images[modality] = ImageFile(path=folder / f"{modality}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, -1, 1, 1])), folder / f"{modality}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, np.diag([-1.0, -1, 1, 1])), folder / "seg.nii.gz")
        cases.append(
            Case(
                name=f"case{number}",
                patient=f"patient{number}",
                images=images,
                mask=ImageFile(path=folder / "seg.nii.gz"),
            )
        )
    return Dataset(
        name="glioma",
        root=tmp_path / "raw",
        layout="brats",
        modalities=["t1c", "t2f"],
        convention=CONVENTION,
        cases=cases,
    )


def test_what_is_stored_is_read_again(dataset, tmp_path):
    store = CaseStore(tmp_path / "store")
    progress = []
    failures = preprocess_dataset(dataset, _plan(), store, 0, lambda done, total: progress.append((done, total)))
    assert failures == []
    assert progress == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert store.names() == ["case0", "case1", "case2"]
    images, mask = store.load("case1")
    assert images.shape == (2, 25, 27, 31) and images.dtype == np.float16
    assert mask is not None and mask.shape == (25, 27, 31) and set(np.unique(mask)) == {0, 1, 2}
    assert np.array_equal(store.images("case1")[:, 3:9, 5:20, 7:8], images[:, 3:9, 5:20, 7:8])
    properties = store.properties("case1")
    assert properties.patient == "patient1" and properties.present == [True, True]
    assert properties.region_voxels == {"WT": 4032, "TC": 150, "ET": 0}


def test_locations_lie_in_their_regions(dataset, tmp_path):
    store = CaseStore(tmp_path / "store")
    preprocess_dataset(dataset, _plan(), store, 0)
    images, mask = store.load("case0")
    locations = store.locations("case0")
    assert set(locations) == {"brain", "WT", "TC"}, "the case has no enhancing tumour"
    assert {region: len(voxels) for region, voxels in locations.items()} == {
        "brain": LOCATIONS_PER_REGION,
        "WT": LOCATIONS_PER_REGION,
        "TC": 150,
    }
    assert locations["WT"].dtype == np.int16
    assert (mask[tuple(locations["WT"].T)] > 0).all()
    assert (mask[tuple(locations["TC"].T)] == 1).all()
    assert (images[(slice(None), *locations["brain"].T)] != 0).any(0).all()


def test_only_what_changed_is_made_again(dataset, tmp_path):
    store = CaseStore(tmp_path / "store")
    preprocess_dataset(dataset, _plan(), store, 0)
    times = {name: (store.folder / f"{name}.json").stat().st_mtime_ns for name in store.names()}
    assert times == _again(dataset, _plan(), store)
    os.utime(dataset.cases[1].images["t1c"].path, ns=(1, 1))
    (store.folder / "case2.json").unlink()
    after = _again(dataset, _plan(), store)
    assert [name for name in times if times[name] != after[name]] == ["case1", "case2"]
    resampled = _again(dataset, _plan((2.0, 1.0, 1.0)), store)
    assert all(resampled[name] != after[name] for name in times)
    assert store.properties("case0").shape == (12, 27, 31)


def _again(dataset, plan, store):
    assert preprocess_dataset(dataset, plan, store, 0) == []
    return {name: (store.folder / f"{name}.json").stat().st_mtime_ns for name in store.names()}


def test_a_bad_case_fails_alone(dataset, tmp_path):
    dataset.cases[0].images["t2f"].path.write_bytes(b"not an image")
    dataset.cases[1].images["t1c"].path.unlink()
    store = CaseStore(tmp_path / "store")
    failures = preprocess_dataset(dataset, _plan(), store, 0)
    assert sorted(failure.case for failure in failures) == ["case0", "case1"]
    assert "t2f.nii.gz" in next(failure.message for failure in failures if failure.case == "case0")
    assert store.names() == ["case2"]
    with pytest.raises(UserError, match=r"case0\.json does not exist"):
        store.properties("case0")


def test_workers_store_the_same_as_this_process(dataset, tmp_path):
    here, there = CaseStore(tmp_path / "here"), CaseStore(tmp_path / "there")
    preprocess_dataset(dataset, _plan(), here, 0)
    preprocess_dataset(dataset, _plan(), there, 2)
    for name in here.names():
        assert np.array_equal(here.images(name)[:], there.images(name)[:])
        assert all(np.array_equal(v, there.locations(name)[k]) for k, v in here.locations(name).items())


def test_a_study_without_mask_and_unnormalised_intensities(dataset, tmp_path):
    plan = _plan()
    plan.preprocessing.normalisation = {name: {"method": "none"} for name in plan.modalities}
    plan = Plan.model_validate(plan.model_dump(warnings=False))
    case = dataset.cases[0]
    case.mask = None
    image = nibabel.load(case.images["t1c"].path)
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[10, 10, 10] = 120000
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), case.images["t1c"].path)
    store = CaseStore(tmp_path / "store")
    assert preprocess_dataset(dataset, plan, store, 0) == []
    images, mask = store.load("case0")
    assert mask is None and not store.has_mask("case0")
    assert images.dtype == np.float32 and images.max() == 120000
    assert store.properties("case0").region_voxels == {}
