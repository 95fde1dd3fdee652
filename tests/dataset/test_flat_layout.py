"""Files of several cases side by side, and pairs of folders."""

from __future__ import annotations

from autobrats.dataset.reading import read_dataset, read_studies


def test_cases_side_by_side(tmp_path, write_image, write_mask_file):
    for case in ("TCGA-02-0054", "TCGA-02-0060"):
        for modality in ("T1", "T1c", "T2", "FLAIR"):
            write_image(tmp_path / f"{case}_{modality}.nii.gz")
        write_mask_file(tmp_path / f"{case}_seg.nii.gz")
    dataset, faults = read_dataset(tmp_path, name="flat")
    assert dataset.layout == "flat" and not faults
    assert [case.name for case in dataset.cases] == ["TCGA-02-0054", "TCGA-02-0060"]
    assert dataset.modalities == ["t1n", "t1c", "t2w", "t2f"]
    assert dataset.cases[1].mask.path.name == "TCGA-02-0060_seg.nii.gz"


def test_images_and_labels_folders(tmp_path, write_image, write_mask_file):
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.nii.gz")
        write_mask_file(tmp_path / "labels" / f"{name}.nii.gz", (1, 2))
    write_image(tmp_path / "images" / "c.nii.gz")
    write_mask_file(tmp_path / "labels" / "d.nii.gz", (1,))
    dataset, faults = read_dataset(tmp_path, name="pairs")
    assert dataset.modalities == ["image"] and dataset.convention.labels == {"label_1": 1, "label_2": 2}
    assert {(fault.case, fault.kind) for fault in faults} == {("c", "missing_mask"), ("d", "mask_without_image")}


def test_channel_numbers_mean_the_modalities_in_order(tmp_path, write_image):
    for channel in range(2):
        write_image(tmp_path / f"case_7_{channel:04d}.nii.gz")
    (case,), faults = read_studies(tmp_path, ["t1c", "t2f"])
    assert case.name == "case_7" and not faults
    assert {m: image.path.name for m, image in case.images.items()} == {
        "t1c": "case_7_0000.nii.gz",
        "t2f": "case_7_0001.nii.gz",
    }


def test_files_without_a_modality_are_studies_of_the_only_one(tmp_path, write_image):
    for name in ("hippocampus_118", "hippocampus_281"):
        write_image(tmp_path / f"{name}.nii.gz")
    cases, _ = read_studies(tmp_path, ["MRI"])
    assert [(case.name, list(case.images)) for case in cases] == [
        ("hippocampus_118", ["MRI"]),
        ("hippocampus_281", ["MRI"]),
    ]
    (case,), _ = read_studies(tmp_path / "hippocampus_118.nii.gz", ["MRI"])
    assert case.name == "hippocampus_118"


def test_numbers_of_cases_are_not_numbers_of_channels(tmp_path, write_image, write_mask_file):
    for number in (1, 2, 12):
        write_image(tmp_path / "images" / f"patient_{number:04d}.nii.gz", seed=number)
        write_mask_file(tmp_path / "labels" / f"patient_{number:04d}.nii.gz")
    dataset, faults = read_dataset(tmp_path, name="numbered")
    assert [case.name for case in dataset.cases] == ["patient_0001", "patient_0002", "patient_0012"]
    assert dataset.modalities == ["image"] and not faults


def test_a_label_of_a_single_case_is_found(tmp_path, write_image, write_mask_file):
    for number in range(40):
        write_image(tmp_path / "images" / f"p{number}.nii.gz")
        write_mask_file(tmp_path / "labels" / f"p{number}.nii.gz", (1, 7) if number == 23 else (1,))
    assert read_dataset(tmp_path, name="rare")[0].convention.labels == {"label_1": 1, "label_7": 7}


def test_masks_without_any_label_are_told(tmp_path, write_image, write_mask_file):
    write_image(tmp_path / "images" / "a.nii.gz")
    write_mask_file(tmp_path / "labels" / "a.nii.gz", ())
    _, faults = read_dataset(tmp_path, name="empty")
    assert ("error", "no_labels") in {(fault.severity, fault.kind) for fault in faults}
