"""Where to take a patch: at random, or around a voxel of a region that is drawn first."""

from __future__ import annotations

import numpy as np

from autobrats.loading.training_cases import TrainingCase

Start = tuple[int, int, int]


class ForegroundSampler:
    """A share of the patches is centred near a voxel of a region; the regions present are equally likely.

    Args:
        foreground_share: the probability that a patch is drawn around a region's voxel (nnU-Net uses a third).
    """

    def __init__(self, foreground_share: float = 0.5) -> None:
        if not 0 <= foreground_share <= 1:
            raise ValueError(f"foreground_share must be in [0, 1], got {foreground_share}")
        self.foreground_share = foreground_share

    def draw(self, case: TrainingCase, patch_size: tuple[int, int, int], rng: np.random.Generator) -> Start:
        """The first voxel (z, y, x) of a patch; negative where the volume is smaller than the patch."""
        regions = [locations for region, locations in case.locations.items() if region != "brain" and len(locations)]
        around = None
        if regions and rng.random() < self.foreground_share:
            locations = regions[rng.integers(len(regions))]
            around = locations[rng.integers(len(locations))]
        return patch_start(case.shape, patch_size, around, rng)


def patch_start(
    shape: tuple[int, int, int], patch_size: tuple[int, int, int], around: np.ndarray | None, rng: np.random.Generator
) -> Start:
    """The first voxel (z, y, x) of a patch around a voxel, or anywhere for None.

    Along an axis on which the volume is larger than the patch, the patch lies inside; else the volume is in its middle.
    """
    centre = [None, None, None] if around is None else around.tolist()
    z, y, x = (_axis_start(*axis, rng) for axis in zip(shape, patch_size, centre, strict=True))
    return z, y, x


def _axis_start(size: int, patch: int, around: int | None, rng: np.random.Generator) -> int:
    if size <= patch:
        return (size - patch) // 2
    if around is None:
        return int(rng.integers(size - patch + 1))
    return int(np.clip(around - patch // 2, 0, size - patch))
