"""Small studies on disk, made for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

LPS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
"""The affine of BraTS files."""

WriteImage = Callable[..., Path]


@pytest.fixture
def write_image() -> WriteImage:
    """Write an array, shape (x, y, z), as an image file; by default a seeded random brain of 8 x 9 x 7 voxels."""

    def write(
        path: Path, array: np.ndarray | None = None, affine: np.ndarray = LPS, codes: tuple[int, int] = (1, 1), seed=0
    ) -> Path:
        if array is None:
            array = np.zeros((8, 9, 7), np.int16)
            array[1:-1, 1:-1, 1:-1] = np.random.default_rng([seed, *path.name.encode()]).integers(1, 999, (6, 7, 5))
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(array, affine)
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
        image.header.set_xyzt_units("mm")
        if path.name.endswith((".nii", ".nii.gz")):
            nibabel.save(image, path)
        else:
            import SimpleITK

            itk = SimpleITK.GetImageFromArray(array.transpose())
            lps = np.diag([-1.0, -1, 1, 1]) @ affine
            spacing = np.linalg.norm(lps[:3, :3], axis=0)
            itk.SetSpacing(spacing.tolist())
            itk.SetOrigin(lps[:3, 3].tolist())
            itk.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
            SimpleITK.WriteImage(itk, str(path))
        return path

    return write


@pytest.fixture
def write_mask_file(write_image: WriteImage) -> Callable[..., Path]:
    """Write a mask of 8 x 9 x 7 voxels that holds each of the labels given."""

    def write(path: Path, labels: tuple[int, ...] = (1, 2, 4), dtype: type = np.uint8) -> Path:
        array = np.zeros((8, 9, 7), dtype)
        for index, label in enumerate(labels):
            array[2 + index, 2:5, 2:5] = label
        return write_image(path, array)

    return write
