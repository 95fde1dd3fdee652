"""Writing masks and probabilities in exactly the geometry of a study's reference image."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from isal import igzip

from autobrats.dataset.geometry import Geometry, by_times
from autobrats.dataset.volumes import ITK_SUFFIXES, image_suffix
from autobrats.errors import UserError
from autobrats.files import atomic_path

LEVEL = 1
"""Of ISA-L's gzip, 0 to 3: ten times as fast as zlib's level 1, and files of masks are smaller; level 3 is slow."""
SLAB = 16
"""Slices that are written at a time."""


def mask_suffix(geometry: Geometry) -> str:
    """The suffix of a mask in the study's own kind of file (``.mha`` for ``.mhd``, which would be two files)."""
    return ".mha" if geometry.suffix == ".mhd" else geometry.suffix


def write_mask(path: Path, labels: np.ndarray, geometry: Geometry) -> None:
    """Write a label map, canonical shape (z, y, x), as uint8 on the reference file's own axes.

    Shape, affine, qform and sform with their codes, and units are the reference's; the kind of file follows the suffix
    of ``path``.

    Raises:
        UserError: if the suffix is none that can be written.
        ValueError: if the labels have another shape than the geometry or do not fit into uint8.
    """
    if labels.shape != geometry.shape:
        raise ValueError(f"labels of shape {labels.shape} do not fit the study's shape {geometry.shape}")
    if labels.dtype != np.uint8 and (
        labels.min() < 0 or labels.max() > 255 or (labels != labels.astype(np.uint8)).any()
    ):
        raise ValueError("labels must be whole numbers from 0 to 255")
    suffix = image_suffix(path)
    array = geometry.to_file(labels.astype(np.uint8, copy=False))
    with atomic_path(path) as temporary:
        if suffix in (".nii", ".nii.gz"):
            header = _header(geometry, (*geometry.file_shape,), np.uint8)
            with open(temporary, "wb") as raw, _compressed(raw, suffix) as file:
                file.write(header)
                for start in range(0, array.shape[2], SLAB):
                    file.write(np.ascontiguousarray(array[..., start : start + SLAB].T).data)
        elif suffix in ITK_SUFFIXES and suffix != ".mhd":
            _write_itk(temporary, array, geometry)
        else:
            raise UserError(f"A mask cannot be written as {path.name}: use .nii.gz, .nii, .mha or .nrrd.")


def write_probabilities(path: Path, probabilities: np.ndarray, geometry: Geometry, regions: Sequence[str] = ()) -> None:
    """Write region probabilities, canonical shape (region, z, y, x), as a 4D float32 NIfTI file on the study's grid.

    The fourth axis is the region; its names stand in the header's description. ``probabilities`` may be quantised to
    uint8 (0..255) and may be anything that is sliced by region (a blosc2 array, too): one region is held in memory at a
    time.

    Raises:
        UserError: if ``path`` is not named .nii.gz or .nii.
    """
    if tuple(probabilities.shape[1:]) != geometry.shape:
        raise ValueError(
            f"probabilities of shape {by_times(probabilities.shape)} do not fit the shape {geometry.shape}"
        )
    suffix = image_suffix(path)
    if suffix not in (".nii", ".nii.gz"):
        raise UserError(f"Probabilities cannot be written as {path.name}: use .nii.gz or .nii.")
    count = probabilities.shape[0]
    scale = np.float32(1 / 255 if probabilities.dtype == np.uint8 else 1)
    header = _header(geometry, (*geometry.file_shape, count), np.float32, " ".join(regions))
    with atomic_path(path) as temporary, open(temporary, "wb") as raw, _compressed(raw, suffix) as file:
        file.write(header)
        for region in range(count):
            values = geometry.to_file(np.asarray(probabilities[region])).astype(np.float32) * scale
            file.write(values.tobytes("F"))


def _compressed(raw: BinaryIO, suffix: str) -> AbstractContextManager[Any]:
    """The file to write to: a gzip stream into ``raw`` for .nii.gz, which is closed before ``raw`` is, else ``raw``."""
    return igzip.IGzipFile("", "wb", LEVEL, raw, mtime=0) if suffix == ".nii.gz" else contextlib.nullcontext(raw)


def _header(geometry: Geometry, shape: tuple[int, ...], data_type: type, description: str = "") -> bytes:
    """A NIfTI-1 header with the reference's position and codes, and the four bytes that say: no extensions."""
    if geometry.header is not None:
        reference = nibabel.Nifti1Header.from_fileobj(io.BytesIO(geometry.header), check=False)
        header = reference.as_byteswapped("<") if reference.endianness != "<" else reference
        pixdim = header["pixdim"].copy()
    else:
        image = nibabel.Nifti1Image(np.zeros(geometry.file_shape, np.uint8), geometry.affine)
        image.set_sform(geometry.affine, int(geometry.placed))
        image.set_qform(geometry.affine, int(geometry.placed), strip_shears=True)
        header = image.header
        header.set_xyzt_units("mm")
        pixdim = header["pixdim"].copy()
    header.set_data_dtype(data_type)
    header.set_data_shape(shape)
    header["pixdim"][:4] = pixdim[:4]
    header["pixdim"][4:] = 1 if len(shape) == 4 else pixdim[4:]
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["cal_min"], header["cal_max"] = 0, 0
    header["glmin"], header["glmax"] = 0, 0
    header["intent_code"], header["intent_name"] = 0, b""
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header["aux_file"] = b""
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    return header.binaryblock + bytes(4)


def _write_itk(path: Path, array: np.ndarray, geometry: Geometry) -> None:
    import SimpleITK

    affine = np.diag([-1.0, -1, 1, 1]) @ geometry.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
