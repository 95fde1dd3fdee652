"""Images are read onto canonical axes, whatever the file's own are."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.volumes import files_of, read_mask, read_study, read_volume
from autobrats.dataset.writing import write_mask
from autobrats.errors import UserError


def case_of(**images: Path) -> Case:
    return Case(name="case1", patient="case1", images={m: ImageFile(path=path) for m, path in images.items()})


def reoriented(source: Path, codes: str, target: Path) -> Path:
    """A copy of an image with its voxels stored along other axes, at the same place in space."""
    image = nibabel.load(source)
    way = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    nibabel.save(image.as_reoriented(way), target)
    return target


def test_brats_files_are_read_as_simpleitk_reads_them(tmp_path, write_image):
    path = write_image(tmp_path / "a.nii.gz")
    study = read_study(case_of(t1n=path), ["t1n"])
    assert study.images.dtype == np.float32 and study.images.flags.c_contiguous
    np.testing.assert_array_equal(study.images[0], SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))


@pytest.mark.parametrize("codes", ["RAS", "LAS", "PIR", "SLA", "ASL"])
def test_other_orientations_give_the_same_canonical_voxels(tmp_path, write_image, codes):
    affine = np.diag([-1.0, -2, 3, 1])
    path = write_image(tmp_path / "a.nii.gz", affine=affine)
    expected = read_study(case_of(t1n=path), ["t1n"])
    study = read_study(case_of(t1n=reoriented(path, codes, tmp_path / "b.nii.gz")), ["t1n"])
    np.testing.assert_array_equal(study.images, expected.images)
    assert study.spacing_mm == expected.spacing_mm == (3, 2, 1)
    assert expected.geometry.mismatch(study.geometry) is None


def test_modalities_in_different_orientations_are_brought_together(tmp_path, write_image):
    path = write_image(tmp_path / "a.nii.gz")
    study = read_study(case_of(t1n=path, t1c=reoriented(path, "RAS", tmp_path / "b.nii.gz")), ["t1n", "t1c"])
    np.testing.assert_array_equal(study.images[0], study.images[1])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd", ".mhd"])
def test_kinds_of_file(tmp_path, write_image, suffix):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = read_volume(ImageFile(path=write_image(tmp_path / f"a{suffix}", array)))
    np.testing.assert_array_equal(volume.voxels, array.transpose())
    assert volume.geometry.suffix == suffix


def test_a_missing_modality_is_zeros(tmp_path, write_image):
    study = read_study(case_of(t2f=write_image(tmp_path / "a.nii.gz")), ["t1n", "t2f"])
    assert study.present == [False, True]
    assert not study.images[0].any() and study.images[1].any()


def test_channels_of_a_4d_file(tmp_path, write_image):
    array = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 2)).astype(np.int16)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1, 1, 1])), path)
    case = Case(
        name="c", patient="c", images={m: ImageFile(path=path, channel=i) for i, m in enumerate(("t2f", "t1n"))}
    )
    study = read_study(case, ["t1n", "t2f"])
    np.testing.assert_array_equal(study.images, array.transpose(3, 2, 1, 0)[::-1])
    with pytest.raises(UserError, match="no channel 7"):
        read_volume(ImageFile(path=path, channel=7))
    with pytest.raises(UserError, match="not a 3D image"):
        read_volume(ImageFile(path=path))


def test_intensities_are_scaled_as_the_header_says(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([-1.0, -1, 1, 1]))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = np.asanyarray(nibabel.load(tmp_path / "a.nii.gz").dataobj)
    volume = read_volume(ImageFile(path=tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(volume.voxels, stored.transpose())


@pytest.mark.parametrize("part", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_truncated_files_are_named(tmp_path, write_image, suffix, part):
    path = write_image(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=f"Case case1: .*a{suffix} cannot be read, it is damaged or truncated"):
        read_study(case_of(t1n=path), ["t1n"])


@pytest.mark.parametrize("place", [-2, -6, 2, 10, 60])
def test_a_flipped_bit_is_found(tmp_path, write_image, place):
    path = write_image(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[place] ^= 3
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged"):
        read_volume(ImageFile(path=path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Case case1: .*gone\.nii\.gz does not exist"):
        read_study(case_of(t1n=tmp_path / "gone.nii.gz"), ["t1n"])


def test_voxels_that_are_not_finite_are_counted(tmp_path, write_image):
    array = np.ones((4, 4, 4), np.float32)
    array[0, 0, :3] = [np.nan, np.inf, -np.inf]
    with pytest.raises(UserError, match=r"Case case1: .*a\.nii\.gz has 3 voxels that are NaN or infinite"):
        read_study(case_of(t1n=write_image(tmp_path / "a.nii.gz", array)), ["t1n"])


@pytest.mark.parametrize("shift, same", [(1e-4, True), (0.09, True), (0.2, False), (5.0, False)])
def test_grids_are_compared_with_a_tolerance(tmp_path, write_image, shift, same):
    moved = np.diag([-1.0, -1, 1, 1])
    first = write_image(tmp_path / "a.nii.gz", affine=moved)
    moved = moved.copy()
    moved[0, 3] += shift
    case = case_of(t1n=first, t1c=write_image(tmp_path / "b.nii.gz", affine=moved))
    if same:
        assert read_study(case, ["t1n", "t1c"]).present == [True, True]
    else:
        with pytest.raises(UserError, match=r"b\.nii\.gz does not lie on the grid of a\.nii\.gz"):
            read_study(case, ["t1n", "t1c"])


def test_a_relative_difference_of_1e_4_is_forgiven_on_a_whole_study(tmp_path, write_image):
    affine = np.diag([-1.0, -1, 1, 1])
    big = np.zeros((240, 240, 155), np.uint8)
    first = write_image(tmp_path / "a.nii", big, affine)
    second = write_image(tmp_path / "b.nii", big, affine @ np.diag([1.0001, 0.9999, 1.0001, 1]))
    difference = read_volume(ImageFile(path=first)).geometry.mismatch(read_volume(ImageFile(path=second)).geometry)
    assert difference is None


def test_another_shape_is_said(tmp_path, write_image):
    case = case_of(
        t1n=write_image(tmp_path / "a.nii.gz"), t1c=write_image(tmp_path / "b.nii.gz", np.ones((8, 9, 6), np.int16))
    )
    with pytest.raises(UserError, match="6x9x8 voxels instead of 7x9x8"):
        read_study(case, ["t1n", "t1c"])


def test_a_case_without_the_modalities(tmp_path, write_image):
    with pytest.raises(UserError, match="none of the modalities t2w; it has: t1n"):
        read_study(case_of(t1n=write_image(tmp_path / "a.nii.gz")), ["t2w"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_masks_of_any_type_are_read_as_labels(tmp_path, write_image, write_mask_file, dtype):
    geometry = read_volume(ImageFile(path=write_image(tmp_path / "a.nii.gz"))).geometry
    labels = read_mask(ImageFile(path=write_mask_file(tmp_path / "m.nii.gz", dtype=dtype)), geometry)
    assert labels.dtype == np.uint8 and labels.shape == (7, 9, 8)
    assert set(np.unique(labels)) == {0, 1, 2, 4}


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_masks_with_broken_numbers_are_refused(tmp_path, write_image, value):
    array = np.zeros((8, 9, 7), np.float32)
    array[2, 2, 2] = value
    with pytest.raises(UserError, match=r"m\.nii\.gz holds numbers that are not whole"):
        read_mask(ImageFile(path=write_image(tmp_path / "m.nii.gz", array)))


@pytest.mark.parametrize("value", [-1, 256])
def test_masks_out_of_range_are_refused(tmp_path, write_image, value):
    array = np.full((8, 9, 7), value, np.int16)
    with pytest.raises(UserError, match=f"holds the number {value}"):
        read_mask(ImageFile(path=write_image(tmp_path / "m.nii.gz", array)))


def test_a_mask_without_a_position_takes_that_of_its_image(tmp_path, write_image):
    array = np.zeros((8, 9, 7), np.uint8)
    array[1, 2, 3] = 1
    geometry = read_volume(ImageFile(path=write_image(tmp_path / "a.nii.gz", affine=np.diag([1.0, 1, 2, 1])))).geometry
    path = write_image(tmp_path / "m.nii.gz", array, np.eye(4), codes=(0, 0))
    labels = read_mask(ImageFile(path=path), geometry)
    np.testing.assert_array_equal(labels, array[::-1, ::-1].transpose())


def test_nifti_2_and_big_endian_files(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.diag([-1.0, -1, 2, 1])
    nibabel.save(nibabel.Nifti2Image(array, affine), tmp_path / "two.nii.gz")
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(array.astype(">i2"), affine, header), tmp_path / "big.nii")
    for name in ("two.nii.gz", "big.nii"):
        volume = read_volume(ImageFile(path=tmp_path / name))
        np.testing.assert_array_equal(volume.voxels, array.transpose())
        labels = np.ones(volume.geometry.shape, np.uint8)
        write_mask(tmp_path / "m.nii.gz", labels, volume.geometry)
        np.testing.assert_allclose(nibabel.load(tmp_path / "m.nii.gz").affine, affine)


def test_what_is_no_image_at_all(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"a page of html " * 100))
    with pytest.raises(UserError, match="damaged or truncated"):
        read_volume(ImageFile(path=tmp_path / "a.nii.gz"))


def test_the_file_with_the_voxels_is_known(tmp_path, write_image):
    path = write_image(tmp_path / "a.mhd")
    header = path.read_text()
    raw = tmp_path / header.partition("ElementDataFile = ")[2].strip()
    assert raw.is_file() and files_of(path) == [path, raw]
    path.write_text(header.replace(raw.name, "LOCAL"))
    assert files_of(path) == [path] and files_of(raw) == [raw]


def test_reading_in_threads_gives_the_same_study(tmp_path, write_image, monkeypatch):
    random = np.random.default_rng(3)
    modalities = ["t1n", "t1c", "t2w", "t2f"]
    images = {
        name: ImageFile(
            path=write_image(tmp_path / f"{name}.nii.gz", random.integers(1, 99, (6, 5, 4)).astype(np.int16))
        )
        for name in modalities
    }
    case = Case(name="a", patient="a", images=images)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = read_study(case, modalities)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    np.testing.assert_array_equal(read_study(case, modalities).images, alone.images)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    np.testing.assert_array_equal(read_study(case, modalities).images, alone.images)
    (tmp_path / "t1c.nii.gz").unlink()
    with pytest.raises(UserError, match=r"Case a: .*t1c\.nii\.gz does not exist"):
        read_study(case, modalities)
