"""The fingerprint holds what can be counted by hand, and summaries that follow from the cases."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN
from autobrats.dataset.reading import read_dataset
from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.fingerprint.cases import count_lesions, intensity_statistics
from autobrats.fingerprint.dataset import DatasetFingerprint, summarise
from autobrats.fingerprint.survey import survey

AFFINE = np.diag([-1.0, -2, 3, 1])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two cases of one patient and one of another; the last lacks t2f and ET."""
    rng = np.random.default_rng(0)
    names = ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00002-000")
    for index, name in enumerate(names):
        inside = np.zeros((12, 14, 10 + index), bool)
        inside[1:11, 2:12, 3:9] = True
        for modality in ("t1c", "t2f"):
            if (index, modality) == (2, "t2f"):
                continue
            array = np.where(inside, rng.integers(50, 500, inside.shape), 0).astype(np.int16)
            save(tmp_path / name / f"{name}-{modality}.nii.gz", array)
        mask = np.zeros(inside.shape, np.uint8)
        mask[2:6, 3:7, 4:8] = 2
        mask[3:5, 4:6, 5:7] = 1
        if index < 2:
            mask[3, 4, 5] = mask[4, 5, 6] = 3
            mask[8, 10, 8] = 3
        save(tmp_path / name / f"{name}-seg.nii.gz", mask)
    return tmp_path


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)


def test_a_case_is_measured(folder):
    dataset, _ = read_dataset(folder, name="x")
    fingerprint, faults = survey(dataset)
    assert [fault.kind for fault in faults] == ["few_patients"]
    case = fingerprint.cases["BraTS-GLI-00001-000"]
    assert case.shape == (10, 14, 12) and case.spacing_mm == (3, 2, 1)
    assert case.brain_box == [[3, 9], [2, 12], [1, 11]] and case.brain_shape == (6, 10, 10)
    assert case.is_bounded and case.brain_voxels == 600
    assert case.label_voxels == {"NCR": 6, "ED": 56, "ET": 3}
    assert case.region_voxels == {"WT": 65, "TC": 9, "ET": 3}
    assert case.region_ml == pytest.approx({"WT": 65 * 0.006, "TC": 9 * 0.006, "ET": 3 * 0.006})
    assert case.lesions == {"WT": 2, "TC": 2, "ET": 2}
    assert case.regions_present == ["WT", "TC", "ET"]
    assert fingerprint.cases["BraTS-GLI-00002-000"].regions_present == ["WT", "TC"]
    image = nibabel.load(dataset.cases[0].images["t1c"].path).get_fdata()
    values = image[image > 0]
    assert case.intensities["t1c"].mean == pytest.approx(values.mean())
    assert case.intensities["t1c"].std == pytest.approx(values.std())
    assert case.intensities["t1c"].percentile_99_5 == pytest.approx(np.percentile(values, 99.5))


def test_the_dataset_is_summarised(folder):
    dataset, _ = read_dataset(folder, name="x")
    fingerprint, _ = survey(dataset)
    assert (fingerprint.patients, fingerprint.masked_cases) == (2, 3)
    assert fingerprint.median_shape == (11, 14, 12) and fingerprint.max_shape == (12, 14, 12)
    assert fingerprint.median_brain_shape == (6, 10, 10) and fingerprint.median_spacing_mm == (3, 2, 1)
    assert fingerprint.modality_presence == pytest.approx({"t1c": 1.0, "t2f": 2 / 3})
    assert fingerprint.region_presence == pytest.approx({"WT": 1.0, "TC": 1.0, "ET": 2 / 3})
    assert fingerprint.region_frequency["ET"] == pytest.approx(6 / 1800)
    assert fingerprint.label_frequency["ED"] == pytest.approx((56 + 56 + 56) / 1800)
    assert fingerprint.max_lesions["ET"] == 2 and fingerprint.median_lesions["ET"] == 2
    assert fingerprint.brain_is_bounded and not fingerprint.already_normalised
    images = [nibabel.load(case.images["t1c"].path).get_fdata() for case in dataset.cases]
    values = np.concatenate([image[image > 0] for image in images])
    assert fingerprint.intensities["t1c"].mean == pytest.approx(values.mean())
    assert fingerprint.intensities["t1c"].std == pytest.approx(values.std())


def test_workers_change_nothing(folder):
    dataset, _ = read_dataset(folder, name="x")
    seen = []
    with_worker = survey(dataset, 1, lambda done, total: seen.append((done, total)))
    assert with_worker == survey(dataset, 0)
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_faulty_cases_are_left_out(folder):
    image = next((folder / "BraTS-GLI-00002-000").glob("*t1c*"))
    image.write_bytes(b"not an image")
    dataset, _ = read_dataset(folder, name="x")
    fingerprint, faults = survey(dataset)
    assert list(fingerprint.cases) == ["BraTS-GLI-00001-000", "BraTS-GLI-00001-001"]
    assert [(fault.case, fault.kind) for fault in faults if fault.case] == [("BraTS-GLI-00002-000", "unreadable")]
    fewer = fingerprint.without({"BraTS-GLI-00001-000"})
    assert list(fewer.cases) == ["BraTS-GLI-00001-001"] and fewer.patients == 1
    with pytest.raises(UserError, match="Every case of the dataset is faulty"):
        fewer.without({"BraTS-GLI-00001-001"})
    assert summarise({}).patients == 0


def test_it_is_written_and_read(folder, tmp_path):
    fingerprint, _ = survey(read_dataset(folder, name="x")[0])
    write_json(tmp_path / "fingerprint.json", fingerprint)
    assert read_model(tmp_path / "fingerprint.json", DatasetFingerprint) == fingerprint


def test_lesions_that_touch_at_a_corner_are_one():
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1, 1, 1] = labels[2, 2, 2] = 4
    labels[4, 4, 4] = 2
    assert count_lesions(labels, KNOWN["brats2017"]) == {"WT": 2, "TC": 1, "ET": 1}
    assert count_lesions(labels * 0, KNOWN["brats2017"]) == {"WT": 0, "TC": 0, "ET": 0}


def test_statistics_of_one_voxel():
    statistics = intensity_statistics(np.array([7], np.int16))
    assert statistics.mean == statistics.min == statistics.median == 7 and statistics.std == 0


@pytest.mark.realdata
def test_real_lesions(realdata):
    dataset, faults = read_dataset(realdata / "brats2020_lesions", name="lesions")
    assert len(dataset.cases) == 326 and len({case.patient for case in dataset.cases}) == 305 and not faults
    dataset.cases = dataset.cases[::16]
    fingerprint, faults = survey(dataset)
    assert not faults
    assert fingerprint.median_shape == (32, 32, 32)
    assert fingerprint.median_spacing_mm == pytest.approx((1.2109, 1.875, 1.875), abs=1e-4)
    assert fingerprint.already_normalised
