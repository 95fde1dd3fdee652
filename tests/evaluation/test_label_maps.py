"""Which label maps are found, in every layout that predictions and references come in."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.errors import UserError
from autobrats.evaluation.label_maps import find_label_maps
from autobrats.evaluation.label_names import read_label_name


def write(folder: Path, *names: str) -> Path:
    """Small label maps of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), folder / name)
    return folder


def found(folder: Path, side: str) -> dict[str, str]:
    root = folder.resolve()
    return {case: str(file.resolve().relative_to(root)) for case, file in find_label_maps(folder, side).files.items()}


@pytest.mark.parametrize(
    ("stem", "kind", "case"),
    [
        ("BraTS20_Training_001_prediction", "prediction", "BraTS20_Training_001"),
        ("case_7-pred", "prediction", "case_7"),
        ("case_seg_pred", "prediction", "case"),
        ("case_pred_seg", "prediction", "case"),
        ("case_gt", "reference", "case"),
        ("case_ground_truth", "reference", "case"),
        ("case.reference", "reference", "case"),
        ("BraTS-GLI-00000-000-seg", "mask", "BraTS-GLI-00000-000"),
        ("case_mask", "mask", "case"),
        ("case_label", "mask", "case"),
        ("hippocampus_001", "plain", "hippocampus_001"),
        ("label_001", "plain", "label_001"),
        ("case_t1ce", "image", "case"),
        ("case_probabilities", "other", "case"),
        ("case_seg_probabilities", "other", "case"),
        ("case_brain_mask", "other", "case"),
        ("seg", "mask", ""),
    ],
)
def test_names_say_what_a_file_is(stem: str, kind: str, case: str) -> None:
    assert read_label_name(stem) == (kind, case)


def test_both_sides_may_lie_in_one_folder(tmp_path: Path) -> None:
    folder = write(tmp_path, "a_prediction.nii.gz", "a_reference.nii.gz", "b_pred.nii.gz", "b_gt.nii.gz")
    assert found(folder, "prediction") == {"a": "a_prediction.nii.gz", "b": "b_pred.nii.gz"}
    assert found(folder, "reference") == {"a": "a_reference.nii.gz", "b": "b_gt.nii.gz"}


def test_what_autobrats_predict_writes(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.nii.gz", "a_probabilities.nii.gz", "b.nii.gz", "b_probabilities.nii.gz")
    assert found(folder, "prediction") == {"a": "a.nii.gz", "b": "b.nii.gz"}


def test_of_images_and_masks_only_the_masks_are_taken(tmp_path: Path) -> None:
    files = [f"c{n}/c{n}_{kind}.nii.gz" for n in (1, 2) for kind in ("t1", "t1ce", "t2", "flair", "seg")]
    folder = write(tmp_path, *files)
    expected = {"c1": "c1/c1_seg.nii.gz", "c2": "c2/c2_seg.nii.gz"}
    assert found(folder, "reference") == expected
    maps = find_label_maps(folder, "reference")
    assert maps.modalities == ["t1n", "t1c", "t2w", "t2f"] and maps.spellings == {"t1", "t1ce", "t2", "flair"}
    assert found(folder / "c1", "reference") == {"c1": "c1_seg.nii.gz"}
    flat = write(tmp_path / "flat", "a_t1.nii.gz", "a_seg.nii.gz", "b_t1.nii.gz", "b_seg.nii.gz")
    assert found(flat, "reference") == {"a": "a_seg.nii.gz", "b": "b_seg.nii.gz"}


def test_predictions_beside_the_images_and_the_reference(tmp_path: Path) -> None:
    folder = write(tmp_path, *(f"c{n}/c{n}_{kind}.nii.gz" for n in (1, 2) for kind in ("t1", "t2", "seg", "pred")))
    assert found(folder, "prediction") == {"c1": "c1/c1_pred.nii.gz", "c2": "c2/c2_pred.nii.gz"}
    assert found(folder, "reference") == {"c1": "c1/c1_seg.nii.gz", "c2": "c2/c2_seg.nii.gz"}


def test_a_folder_a_case_without_images(tmp_path: Path) -> None:
    folder = write(tmp_path / "bare", "c1/seg.nii.gz", "c2/seg.nii.gz")
    assert found(folder, "reference") == {"c1": "c1/seg.nii.gz", "c2": "c2/seg.nii.gz"}
    folder = write(tmp_path / "named", "c1/prediction.nii.gz", "c2/prediction.nii.gz")
    assert found(folder, "prediction") == {"c1": "c1/prediction.nii.gz", "c2": "c2/prediction.nii.gz"}
    folder = write(tmp_path / "plain", "fold_0/c1.nii.gz", "fold_1/c2.nii.gz")
    assert found(folder, "prediction") == {"c1": "fold_0/c1.nii.gz", "c2": "fold_1/c2.nii.gz"}


def test_nnunet_folders_with_what_dataset_json_says(tmp_path: Path) -> None:
    folder = write(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz")
    write(tmp_path, "imagesTr/b_0000.nii.gz")
    description = {"channel_names": {"0": "T2"}, "labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps({**description, "numTraining": 2}))
    assert found(folder, "reference") == {"a": "labelsTr/a.nii.gz", "b": "labelsTr/b.nii.gz"}
    labels = find_label_maps(folder / "labelsTr", "reference")
    assert list(labels.files) == ["a", "b"]
    assert labels.convention is not None and list(labels.convention.regions) == ["lesion"]


def test_one_modality_in_every_name_is_part_of_it(tmp_path: Path) -> None:
    assert list(found(write(tmp_path, "s1_T1w.nii.gz", "s2_T1w.nii.gz"), "prediction")) == ["s1_T1w", "s2_T1w"]


def test_patients_come_from_the_table_or_the_names(tmp_path: Path) -> None:
    folder = write(tmp_path, "BraTS-GLI-00001-000.nii.gz", "BraTS-GLI-00001-001.nii.gz", "other.nii.gz")
    names = find_label_maps(folder, "reference").patients
    assert names["BraTS-GLI-00001-000"] == names["BraTS-GLI-00001-001"] == "BraTS-GLI-00001"
    (folder / "cases.csv").write_text("case,patient\nother,BraTS-GLI-00001\n")
    assert set(find_label_maps(folder, "reference").patients.values()) == {"BraTS-GLI-00001"}


def test_a_file_and_a_table_are_accepted(tmp_path: Path) -> None:
    folder = write(tmp_path, "a_pred.nii.gz", "x/t1.nii.gz", "x/mask.nii.gz")
    assert list(find_label_maps(folder / "a_pred.nii.gz", "prediction").files) == ["a"]
    (folder / "studies.csv").write_text("case,patient,t1,mask\na,p,x/t1.nii.gz,x/mask.nii.gz\n")
    maps = find_label_maps(folder / "studies.csv", "reference")
    assert maps.files == {"a": (folder / "x/mask.nii.gz").resolve()} and maps.patients == {"a": "p"}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "holds no predictions"),
        (["a_t1.nii.gz", "a_t2.nii.gz"], "holds no predictions"),
        (["a_pred.nii.gz", "a-prediction.nii.gz"], "holds two predictions of the case a"),
        (["c1/a.nii.gz", "c2/a.nii.gz"], "holds two predictions of the case a"),
        (["a_gt.nii.gz", "b_gt.nii.gz"], "2 label maps are named as references; are -p and -r exchanged?"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path: Path, names: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        find_label_maps(write(tmp_path, *names), "prediction")


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give the folder of the references"):
        find_label_maps(tmp_path / "nowhere", "reference")
