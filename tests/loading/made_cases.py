"""Cases with known voxels."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.known_conventions import convention_named
from autobrats.loading.training_cases import TrainingCase

BRATS = convention_named("brats2017")


def made_case(
    name: str, shape: tuple[int, int, int] = (20, 24, 22), modalities: int = 2, seed: int = 0
) -> TrainingCase:
    """Noise in every voxel, and a tumour: ET inside TC inside WT, around a random centre."""
    random = np.random.default_rng([seed, *name.encode()])
    images = random.uniform(1, 2, (modalities, *shape)).astype(np.float16)
    centre = [random.integers(5, side - 4) for side in shape]
    distance = np.sqrt(sum((grid - c) ** 2 for grid, c in zip(np.indices(shape), centre, strict=True)))
    mask = np.select([distance < 2, distance < 3, distance < 5], [4, 1, 2], 0).astype(np.uint8)
    locations = {region: np.argwhere(np.isin(mask, members)) for region, members in BRATS.regions.items()}
    locations = {region: found.astype(np.int16) for region, found in locations.items()}
    return TrainingCase(name, images, mask, {"brain": np.argwhere(mask >= 0).astype(np.int16), **locations})
