from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from autobrats.phantoms.folder import COLUMNS, LAW_FILE, write_dataset
from autobrats.phantoms.study import generate_study

SHAPE = (24, 32, 28)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantoms")
    assert write_dataset(path, 2, seed=5, shape=SHAPE) == ["Phantom_00001", "Phantom_00002"]
    return path


def test_the_files_are_those_of_a_brats_folder(folder: Path) -> None:
    expected = {f"Phantom_00001_{suffix}.nii.gz" for suffix in ("t1", "t1ce", "t2", "flair", "seg")}
    assert {path.name for path in (folder / "Phantom_00001").iterdir()} == expected


def test_voxels_and_geometry_survive_the_file(folder: Path) -> None:
    study = generate_study([5, 2], SHAPE)
    path = folder / "Phantom_00002" / "Phantom_00002_flair.nii.gz"
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), study.images["flair"])
    assert image.GetSpacing() == pytest.approx(study.spacing_mm[::-1])
    assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    header = nibabel.load(path)
    assert nibabel.aff2axcodes(header.affine) == ("L", "P", "S")
    assert header.get_data_dtype() == np.int16
    mask = nibabel.load(folder / "Phantom_00002" / "Phantom_00002_seg.nii.gz")
    np.testing.assert_array_equal(mask.affine, header.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj).transpose(2, 1, 0), study.labels)


def test_the_table_names_every_case(folder: Path) -> None:
    with (folder / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["case"] for row in rows] == ["Phantom_00001", "Phantom_00002"]
    assert len({row["patient"] for row in rows}) == 2
    assert all(
        row["grade"] in ("HGG", "LGG") and float(row["age"]) > 18 and int(row["survival_days"]) > 0 for row in rows
    )


def test_workers_write_the_same_and_masks_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, 2, seed=5, shape=SHAPE, with_masks=False, workers=2)
    for case in ("Phantom_00001", "Phantom_00002"):
        assert not (tmp_path / case / f"{case}_seg.nii.gz").exists()
        name = f"{case}/{case}_t2.nii.gz"
        a, b = (np.asarray(nibabel.load(root / name).dataobj) for root in (folder, tmp_path))
        np.testing.assert_array_equal(a, b)
    assert (tmp_path / "cases.csv").read_text() == (folder / "cases.csv").read_text()


def test_masks_alone_and_the_law_beside_them(tmp_path: Path) -> None:
    names = write_dataset(tmp_path, 2, seed=4, shape=(20, 26, 22), with_images=False)
    assert [sorted(path.name for path in (tmp_path / name).iterdir()) for name in names] == [
        [f"{name}_seg.nii.gz"] for name in names
    ]
    with open(tmp_path / LAW_FILE, newline="") as file:
        law = {row["case"]: float(row["median_days"]) for row in csv.DictReader(file)}
    assert list(law) == names and all(days > 0 for days in law.values())
