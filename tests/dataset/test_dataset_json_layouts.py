"""nnU-Net's raw layout and the Decathlon's, with labels and with regions."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.dataset.nnunet_layout import read_labels
from autobrats.dataset.reading import read_dataset, read_studies
from autobrats.dataset.volumes import read_study
from autobrats.errors import UserError

REGIONS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}


def write_nnunet(root: Path, write_image, write_mask_file, **description) -> None:
    for case in ("c1", "c2"):
        for channel in range(len(description["channel_names"])):
            write_image(root / "imagesTr" / f"{case}_{channel:04d}.nii.gz")
        write_mask_file(root / "labelsTr" / f"{case}.nii.gz", (1, 2))
    description = {"numTraining": 2, "file_ending": ".nii.gz", **description}
    (root / "dataset.json").write_text(json.dumps(description))


def test_plain_labels(tmp_path, write_image, write_mask_file):
    labels = {"background": 0, "Anterior": 1, "Posterior": 2}
    write_nnunet(tmp_path, write_image, write_mask_file, channel_names={"0": "MRI"}, labels=labels)
    dataset, faults = read_dataset(tmp_path, name="x")
    assert dataset.layout == "nnunet" and not faults
    assert dataset.modalities == ["MRI"] and [case.name for case in dataset.cases] == ["c1", "c2"]
    assert dataset.convention.regions == {"Anterior": [1], "Posterior": [2]} and dataset.convention.exclusive


def test_channels_become_our_modalities(tmp_path, write_image, write_mask_file):
    channels = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    labels = {"background": 0, "edema": 1, "non-enhancing tumor": 2, "enhancing tumour": 3}
    write_nnunet(tmp_path, write_image, write_mask_file, channel_names=channels, labels=labels)
    dataset, _ = read_dataset(tmp_path, name="x")
    assert dataset.modalities == ["t2f", "t1n", "t1c", "t2w"]
    assert dataset.cases[0].images["t1c"].path.name == "c1_0002.nii.gz"
    assert dataset.convention.regions == {"WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}


def test_regions_are_painted_in_their_order(tmp_path, write_image, write_mask_file):
    convention = read_labels({"labels": REGIONS, "regions_class_order": [1, 2, 3]}, tmp_path)
    assert convention.regions == {"WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}
    labels = np.array([0, 1, 2, 3], np.uint8)
    np.testing.assert_array_equal(convention.to_labels(convention.to_regions(labels)), labels)


@pytest.mark.parametrize(
    "labels, order, message",
    [
        (REGIONS, None, "must list 3 labels"),
        (REGIONS, [1, 2], "must list 3 labels"),
        (REGIONS, [1, 2, 1], "paints label 1 for the region 'ET'"),
        ({"background": 0, "ET": 3, "TC": [2, 3], "WT": [1, 2, 3]}, [3, 2, 1], "list the larger regions first"),
        ({"background": 0, "tumour": 1, "ignore": 2}, None, "'ignore', which is not supported yet"),
        ({"background": 0, "tumour": "one"}, None, "must be integers or lists of integers"),
        ({}, None, "has no 'labels'"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, labels, order, message):
    description = {"labels": labels} | ({"regions_class_order": order} if order else {})
    with pytest.raises(UserError, match=message):
        read_labels(description, tmp_path / "dataset.json")


def test_unpaired_files(tmp_path, write_image, write_mask_file):
    write_nnunet(tmp_path, write_image, write_mask_file, channel_names={"0": "MRI"}, labels={"background": 0, "a": 1})
    (tmp_path / "labelsTr" / "c1.nii.gz").unlink()
    (tmp_path / "imagesTr" / "c2_0000.nii.gz").unlink()
    _, faults = read_dataset(tmp_path, name="x")
    assert {(fault.case, fault.kind) for fault in faults} == {("c1", "missing_mask"), ("c2", "mask_without_image")}


def test_test_images_are_predicted(tmp_path, write_image, write_mask_file):
    write_nnunet(tmp_path, write_image, write_mask_file, channel_names={"0": "MRI"}, labels={"background": 0, "a": 1})
    assert [case.name for case in read_studies(tmp_path, ["MRI"])[0]] == ["c1", "c2"]
    write_image(tmp_path / "imagesTs" / "new_0000.nii.gz")
    assert [case.name for case in read_studies(tmp_path, ["MRI"])[0]] == ["new"]
    assert [case.name for case in read_studies(tmp_path / "imagesTs", ["MRI"])[0]] == ["new"]


def test_no_channels(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}')
    with pytest.raises(UserError, match="has no 'channel_names'"):
        read_dataset(tmp_path, name="x")


@pytest.fixture
def decathlon(tmp_path, write_mask_file) -> Path:
    rng = np.random.default_rng(0)
    for name in ("BRATS_001", "BRATS_002"):
        (tmp_path / "imagesTr").mkdir(exist_ok=True)
        array = rng.integers(0, 99, (8, 9, 7, 4)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1, 1, 1])), tmp_path / "imagesTr" / f"{name}.nii.gz")
        write_mask_file(tmp_path / "labelsTr" / f"{name}.nii.gz", (1, 2, 3))
    description = {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in ("BRATS_001", "BRATS_002")
        ],
        "test": ["./imagesTs/BRATS_485.nii.gz"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    return tmp_path


def test_decathlon(decathlon):
    dataset, faults = read_dataset(decathlon, name="x")
    assert dataset.layout == "msd" and not faults
    assert dataset.modalities == ["t2f", "t1n", "t1c", "t2w"]
    assert dataset.convention.regions == {"WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}
    study = read_study(dataset.cases[0], ["t1n", "t2f"])
    stored = np.asanyarray(nibabel.load(dataset.cases[0].images["t1n"].path).dataobj)
    np.testing.assert_array_equal(study.images, stored[..., [1, 0]].transpose(3, 2, 1, 0))


def test_a_listed_file_that_is_missing(decathlon, write_mask_file):
    (decathlon / "imagesTr" / "BRATS_001.nii.gz").unlink()
    write_mask_file(decathlon / "labelsTr" / "BRATS_009.nii.gz")
    _, faults = read_dataset(decathlon, name="x")
    assert {(fault.case, fault.kind) for fault in faults} == {
        ("BRATS_001", "missing_file"),
        ("BRATS_009", "mask_without_image"),
    }
