"""Generated studies written as a BraTS 2021 folder with a table of patients."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from autobrats.files import atomic_path, write_csv
from autobrats.phantoms.study import SHAPE, Study, generate_study
from autobrats.workers import map_in_workers

COLUMNS = ("case", "patient", "grade", "age", "survival_days", "resection")
LAW_FILE = "law.csv"
"""The median survival by the phantoms' law: what nobody knows of real patients, and no command reads."""


def write_dataset(
    folder: Path,
    cases: int,
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = SHAPE,
    name: str = "Phantom",
    with_masks: bool = True,
    with_images: bool = True,
    workers: int = 0,
) -> list[str]:
    """Write ``cases`` generated studies into ``folder`` and return their names.

    A case is a folder with ``<case>_t1.nii.gz``, ``_t1ce``, ``_t2``, ``_flair`` and, with masks, ``_seg``; images are
    int16 and masks uint8 with the axes of BraTS (left, posterior, superior). ``cases.csv`` beside them has the columns
    case, patient, grade, age, survival_days and resection, and ``law.csv`` the median of the survival that the law gives.
    The same seed writes the same voxels.

    Raises:
        RuntimeError: if a study could not be written, with the reason.
    """
    folder = Path(folder)
    write = partial(_write_case, folder, seed, shape, name, with_masks, with_images)
    rows = {}
    for done in map_in_workers(write, range(1, cases + 1), workers=workers):
        if done.result is None:
            raise RuntimeError(f"Phantom {done.item} could not be written: {done.error}")
        rows[done.item] = done.result
    in_order = [row for _, row in sorted(rows.items())]
    write_csv(folder / "cases.csv", COLUMNS, (row for row, _ in in_order))
    write_csv(folder / LAW_FILE, ("case", "median_days"), ((row[0], f"{median:.1f}") for row, median in in_order))
    return [str(row[0]) for row, _ in in_order]


def _write_case(
    folder: Path, seed: int, shape: tuple[int, int, int], name: str, with_mask: bool, with_images: bool, number: int
) -> tuple[tuple[str | float, ...], float]:
    """Write one study and return its row of cases.csv, and the median of its survival."""
    case = f"{name}_{number:05d}"
    study = generate_study([seed, number], shape, with_images=with_images)
    write_study(folder / case, case, study, with_mask=with_mask)
    resection = "GTR" if np.random.default_rng([seed, number, 1]).random() < 0.6 else "STR"
    row = (case, f"{name}_patient_{number:05d}", study.grade, study.age, study.survival_days, resection)
    return row, study.median_days


def write_study(folder: Path, case: str, study: Study, *, with_mask: bool = True) -> None:
    """Write one study's images, and its mask, as ``<case>_<modality>.nii.gz``."""
    files = dict(study.images)
    if with_mask:
        files["seg"] = study.labels
    for suffix, array in files.items():
        image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), brats_affine(study))
        image.header.set_xyzt_units("mm")
        with atomic_path(folder / f"{case}_{suffix}.nii.gz") as temporary:
            nibabel.save(image, temporary)


def brats_affine(study: Study) -> np.ndarray:
    """The affine that BraTS studies have: the first axis points left, the second to posterior, the third up."""
    z, y, x = study.spacing_mm
    affine = np.diag([-x, -y, z, 1.0])
    affine[1, 3] = (study.labels.shape[1] - 1) * y
    return affine
