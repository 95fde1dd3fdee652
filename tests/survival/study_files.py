"""Small studies on disk, each with a tumour of its own."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

SHAPE = (14, 16, 12)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def write_image(file: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """On the file's axes (i, j, k)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), file)
    return file


def labels(number: int) -> np.ndarray:
    """A label map of BraTS 2021, uint8 (i, j, k): the tumour grows with the number."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[3 : 7 + number, 4:12, 3:9] = 2
    mask[4:7, 6 : 8 + number, 4:7] = 4
    mask[5, 6:8, 5] = 1
    return mask


def write_studies(folder: Path, count: int, masks: bool = True) -> list[str]:
    """A BraTS folder of studies with four modalities; their names."""
    names = [f"BraTS2021_{number:05d}" for number in range(count)]
    brain = np.zeros(SHAPE, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        for modality in ("t1", "t1ce", "t2", "flair"):
            image = np.where(brain, rng.integers(100, 1000, SHAPE), 0).astype(np.int16)
            write_image(folder / name / f"{name}_{modality}.nii.gz", image)
        if masks:
            write_image(folder / name / f"{name}_seg.nii.gz", labels(number))
    return names
