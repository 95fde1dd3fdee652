"""One generated glioma study: four images, the truth, and the patient to whom they belong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobrats.phantoms.anatomy import generate_anatomy
from autobrats.phantoms.contrast import render
from autobrats.phantoms.noise import Grid
from autobrats.phantoms.tumour import ET, draw_tumour, generate_tumour, mass_effect

_SURVIVAL_STREAM, _SURVIVAL_SPREAD = 7, 0.25
SHAPE = (60, 76, 64)
"""Voxels along (z, y, x) of a study, unless told otherwise."""


@dataclass(frozen=True)
class Study:
    """A generated study.

    Attributes:
        images: by modality (t1, t1ce, t2, flair), int16, shape (z, y, x), 0 outside the brain; empty if none were wanted.
        labels: uint8, shape (z, y, x): 1 necrotic core, 2 oedema, 4 enhancing tumour.
        spacing_mm: voxel size along (z, y, x).
        grade: HGG or LGG.
        age: in years.
        survival_days: by the law of :func:`survival_law`, with noise.
        median_days: without noise.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    grade: str
    age: float
    survival_days: int
    median_days: float


def generate_study(
    seed: int | list[int],
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] | None = None,
    *,
    with_images: bool = True,
) -> Study:
    """A glioma study, the same for the same seed.

    Args:
        shape: voxels along (z, y, x); the head is scaled to fill them.
        spacing_mm: voxel size along (z, y, x); by default 2.2 to 2.5 mm and slices of 2.2 to 2.8 mm for the usual
            shape, and for another one such that the head has the same size in mm.
        with_images: whether the images are made; labels, age and survival are the same without them.
    """
    rng = np.random.default_rng(seed)
    if spacing_mm is None:
        in_plane = round(float(rng.choice([2.2, 2.3, 2.5])) * max(SHAPE[1] / shape[1], SHAPE[2] / shape[2]), 2)
        slices = round(float(rng.choice([2.2, 2.5, 2.8])) * SHAPE[0] / shape[0], 2)
        spacing_mm = (slices, in_plane, in_plane)
    grid = Grid(shape, spacing_mm)
    # The head's half axes are 58, 80 and 62 mm; a little room is left around them.
    room = min(n * s / 2 / half for n, s, half in zip(shape, spacing_mm, (62, 88, 68), strict=True))
    size = room * rng.uniform(0.93, 1.0)
    tumour = generate_tumour(rng, size)
    age = float(np.clip(rng.normal(60, 11) if tumour.grade == "HGG" else rng.normal(43, 12), 19, 88))
    anatomy = generate_anatomy(
        rng,
        grid,
        size=size,
        ventricle_size=0.85 + 0.007 * (age - 40) + rng.normal(0, 0.08),
        lesion_load=float(np.clip((age - 35) / 45 + rng.normal(0, 0.2), 0, 1)),
        displacement_mm=mass_effect(tumour, grid),
    )
    labels = draw_tumour(rng, tumour, grid, anatomy.brain, anatomy.grey, anatomy.fluid)
    images = render(rng, grid, anatomy, labels, bleeds=tumour.bleeds) if with_images else {}
    enhancing_ml = float((labels == ET).sum() * np.prod(spacing_mm) / 1000 / size**3)
    median = survival_law(age, enhancing_ml, tumour.grade)
    # From a generator of its own: the images draw as many numbers as they need.
    luck = np.random.default_rng([*np.atleast_1d(seed), _SURVIVAL_STREAM]).normal(0, _SURVIVAL_SPREAD)
    days = int(np.clip(round(median * float(np.exp(luck))), 5, 4000))
    return Study(images, labels, grid.spacing_mm, tumour.grade, round(age, 1), days, median)


def survival_law(age: float, enhancing_ml: float, grade: str) -> float:
    """The median survival in days of a phantom patient; the phantoms' own law, no finding about people.

    ``450 exp(-0.02 (age - 60) - 0.06 enhancing_ml)``, times 1.5 for LGG. A study's survival is that times a
    log-normal factor with a standard deviation of 0.25; ``enhancing_ml`` is that of a head of normal size.
    """
    return 450 * float(np.exp(-0.02 * (age - 60) - 0.06 * enhancing_ml)) * (1.5 if grade == "LGG" else 1)
