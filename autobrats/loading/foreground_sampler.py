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
        centre = [None, None, None] if around is None else around.tolist()
        starts = [_start(*axis, rng) for axis in zip(case.shape, patch_size, centre, strict=True)]
        return starts[0], starts[1], starts[2]


def _start(size: int, patch: int, around: int | None, rng: np.random.Generator) -> int:
    """One axis: inside the volume if it is larger than the patch, else with the volume in the middle."""
    if size <= patch:
        return (size - patch) // 2
    if around is None:
        return int(rng.integers(size - patch + 1))
    return int(np.clip(around - patch // 2, 0, size - patch))
