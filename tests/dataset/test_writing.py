"""Masks and probabilities come back onto exactly the study's own grid."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from autobrats.dataset.cases import ImageFile
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_mask, read_study, read_volume
from autobrats.dataset.writing import mask_suffix, write_mask, write_probabilities
from autobrats.errors import UserError

OBLIQUE = np.array([[0.9, 0.1, 0.0, -40.0], [-0.1, 1.1, 0.2, 12.5], [0.05, -0.2, 2.9, 7.25], [0, 0, 0, 1]])


def position_fields(path: Path) -> tuple[bytes, bytes, bytes]:
    """The bytes of a NIfTI-1 header that hold pixdim, the codes with both forms, and the units."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return content[76:92], content[252:328], content[123:124]


@pytest.mark.parametrize("codes", [(1, 1), (0, 2), (1, 0), (2, 1), (0, 0)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_geometry_is_kept_byte_by_byte(tmp_path, write_image, suffix, codes):
    reference = write_image(tmp_path / "a.nii.gz", affine=OBLIQUE, codes=codes)
    geometry = read_volume(ImageFile(path=reference)).geometry
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    write_mask(tmp_path / f"m{suffix}", labels, geometry)
    written, source = nibabel.load(tmp_path / f"m{suffix}"), nibabel.load(reference)
    assert position_fields(tmp_path / f"m{suffix}") == position_fields(reference)
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.get_data_dtype() == np.uint8 and written.shape == source.shape
    np.testing.assert_array_equal(read_mask(ImageFile(path=tmp_path / f"m{suffix}"), geometry), labels)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_itk_geometry_is_kept(tmp_path, write_image, suffix):
    affine = np.array([[0, 0, 2.0, 3], [-1.5, 0, 0, 4], [0, 1, 0, 5], [0, 0, 0, 1]])
    reference = write_image(tmp_path / f"a{suffix}", affine=affine)
    geometry = read_volume(ImageFile(path=reference)).geometry
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    write_mask(tmp_path / f"m{suffix}", labels, geometry)
    written, source = (SimpleITK.ReadImage(str(path)) for path in (tmp_path / f"m{suffix}", reference))
    assert written.GetPixelID() == SimpleITK.sitkUInt8 and written.GetSize() == source.GetSize()
    np.testing.assert_allclose(written.GetOrigin(), source.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(written.GetDirection(), source.GetDirection(), atol=1e-9)
    np.testing.assert_allclose(written.GetSpacing(), source.GetSpacing(), atol=1e-9)
    np.testing.assert_array_equal(read_mask(ImageFile(path=tmp_path / f"m{suffix}"), geometry), labels)


def test_a_mask_of_an_mha_study_can_be_written_as_nifti(tmp_path, write_image):
    geometry = read_volume(ImageFile(path=write_image(tmp_path / "a.mha", affine=np.diag([2.0, 1, 1, 1])))).geometry
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    write_mask(tmp_path / "m.nii.gz", labels, geometry)
    written = nibabel.load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(written.affine, geometry.affine)
    np.testing.assert_array_equal(read_mask(ImageFile(path=tmp_path / "m.nii.gz"), geometry), labels)
    assert mask_suffix(geometry) == ".mha"


def test_the_same_mask_is_the_same_file(tmp_path, write_image):
    geometry = read_volume(ImageFile(path=write_image(tmp_path / "a.nii.gz"))).geometry
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    for name in ("m.nii.gz", "n.nii.gz"):
        write_mask(tmp_path / name, labels, geometry)
    content = (tmp_path / "m.nii.gz").read_bytes()
    assert content == (tmp_path / "n.nii.gz").read_bytes()
    assert content[:8] == b"\x1f\x8b\x08" + bytes(5)  # neither a name nor a time


def test_the_scale_of_the_reference_does_not_reach_the_mask(tmp_path, write_image):
    path = write_image(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.25, -7.0], "<f4").tobytes()
    path.write_bytes(bytes(content))
    volume = read_volume(ImageFile(path=path))
    assert volume.voxels.min() == -7
    labels = np.ones(volume.geometry.shape, np.uint8)
    write_mask(tmp_path / "m.nii.gz", labels, volume.geometry)
    assert (np.asanyarray(nibabel.load(tmp_path / "m.nii.gz").dataobj) == 1).all()


def test_wrong_masks_are_not_written(tmp_path, write_image):
    geometry = read_volume(ImageFile(path=write_image(tmp_path / "a.nii.gz"))).geometry
    with pytest.raises(ValueError, match="do not fit"):
        write_mask(tmp_path / "m.nii.gz", np.zeros((1, 2, 3), np.uint8), geometry)
    with pytest.raises(ValueError, match="0 to 255"):
        write_mask(tmp_path / "m.nii.gz", np.full(geometry.shape, 256), geometry)
    with pytest.raises(UserError, match=r"use \.nii\.gz"):
        write_mask(tmp_path / "m.png", np.zeros(geometry.shape, np.uint8), geometry)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_probabilities_lie_on_the_study_grid(tmp_path, write_image, suffix):
    reference = write_image(tmp_path / "a.nii.gz", affine=OBLIQUE)
    geometry = read_volume(ImageFile(path=reference)).geometry
    probabilities = np.random.default_rng(0).integers(0, 256, (3, *geometry.shape)).astype(np.uint8)
    write_probabilities(tmp_path / f"p{suffix}", probabilities, geometry, ["WT", "TC", "ET"])
    written, source = nibabel.load(tmp_path / f"p{suffix}"), nibabel.load(reference)
    assert written.shape == (*source.shape, 3) and written.get_data_dtype() == np.float32
    assert written.header["descrip"].item() == b"WT TC ET"
    np.testing.assert_array_equal(written.affine, source.affine)
    for region in range(3):
        canonical = geometry.to_canonical(np.asanyarray(written.dataobj)[..., region])
        np.testing.assert_allclose(canonical, probabilities[region] / 255, atol=1e-6)


@pytest.mark.realdata
@pytest.mark.parametrize("year", ["BraTS2021", "BraTS2018", "BraTS2023", "two_modalities"])
def test_real_masks_come_back_voxel_by_voxel(realdata, tmp_path, year):
    dataset, _ = read_dataset(realdata / "brats_full" / year, name="real")
    case = dataset.cases[0]
    study = read_study(case, dataset.modalities[:1])
    write_mask(tmp_path / "m.nii.gz", read_mask(case.mask, study.geometry), study.geometry)
    reference = case.images[dataset.modalities[0]].path
    written, source, mask = (nibabel.load(path) for path in (tmp_path / "m.nii.gz", reference, case.mask.path))
    assert position_fields(tmp_path / "m.nii.gz") == position_fields(reference)
    np.testing.assert_array_equal(written.affine, source.affine)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), np.asanyarray(mask.dataobj))
    itk_written, itk_source = (SimpleITK.ReadImage(str(path)) for path in (tmp_path / "m.nii.gz", reference))
    assert itk_written.GetOrigin() == itk_source.GetOrigin()
    assert itk_written.GetSpacing() == itk_source.GetSpacing()
    assert itk_written.GetDirection() == itk_source.GetDirection()
