"""Connected components of each region, and which of them stay."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.connected_components import connected_components
from autobrats.postprocessing.context import PostprocessingContext


class ConnectedComponents:
    """Class-wise 3D connected component analysis (Anand et al., BraTS 2020, section 3): takes away small components.

    Each region is cut at the threshold and falls into components; one stays if it meets every condition below, else its
    voxels leave the region and the regions inside it (what leaves WT leaves TC and ET too), from the largest region to
    the smallest. Exclusive regions (plain labels) are cut as they compete: where a region's probability is the highest
    and above the background's, whatever the threshold; their freed voxels go to the background.

    The paper gives no size. The default is a cautious one: a component goes if it has less than a fiftieth of the volume
    of the region's largest, so that no region is ever lost.

    Args:
        min_volume_mm3: components below this volume go, the largest too; for all regions, or by the region's name (0 for
            those not named).
        keep: how many of the largest components stay in each region; None for any number.
        min_share: components below this share of the largest one's volume go.
        connectivity: 6, 18 or 26: whether voxels that share a face, an edge or a corner are connected.
        threshold: a voxel is in a region if its probability is above it.

    Raises:
        ValueError: if a value is outside its range; when called, if ``min_volume_mm3`` names a region that is not there.
    """

    def __init__(
        self,
        min_volume_mm3: float | dict[str, float] = 0.0,
        keep: int | None = None,
        min_share: float = 0.02,
        connectivity: Literal[6, 18, 26] = 26,
        threshold: float = 0.5,
    ) -> None:
        volumes = min_volume_mm3.values() if isinstance(min_volume_mm3, dict) else [min_volume_mm3]
        if not all(volume >= 0 for volume in volumes):
            raise ValueError(f"min_volume_mm3 must be 0 or more, not {min_volume_mm3}")
        if keep is not None and (not float(keep).is_integer() or keep < 1):
            raise ValueError(f"keep must be a whole number above 0 or None, not {keep}")
        if not 0 <= min_share <= 1:
            raise ValueError(f"min_share must be in 0..1, not {min_share}")
        if connectivity not in (6, 18, 26):
            raise ValueError(f"connectivity must be 6, 18 or 26, not {connectivity}")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be 0 or more and below 1, not {threshold}")
        self.min_volume_mm3, self.min_share = min_volume_mm3, min_share
        self.keep = None if keep is None else int(keep)
        self.connectivity, self.threshold = connectivity, threshold

    def __call__(self, probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray:
        volumes_mm3 = self._volumes_mm3(context.regions)
        voxel_mm3 = math.prod(context.spacing_mm)
        result = probabilities.copy()
        winner = _winner(probabilities) if context.exclusive else None
        for place in sorted(range(len(result)), key=lambda place: -len(context.members[context.regions[place]])):
            region = context.regions[place]
            mask = result[place] > self.threshold if winner is None else winner == place
            box = bounding_slices(mask)
            if box is None:
                continue
            removed = self._removed(mask[box], volumes_mm3[region] / voxel_mm3)
            for affected in (place, *context.inner_regions(region)):
                result[(affected, *box)][removed] = 0
        return result

    def _volumes_mm3(self, regions: list[str]) -> dict[str, float]:
        if not isinstance(self.min_volume_mm3, dict):
            return dict.fromkeys(regions, self.min_volume_mm3)
        for name in self.min_volume_mm3:
            if name not in regions:
                raise ValueError(f"min_volume_mm3 names the region '{name}'; there are {', '.join(regions)}")
        return {region: self.min_volume_mm3.get(region, 0.0) for region in regions}

    def _removed(self, mask: np.ndarray, min_voxels: float) -> np.ndarray:
        """The voxels of a mask, (z, y, x), whose components do not stay; the mask has some."""
        components = connected_components(mask, self.connectivity)
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        stays = (sizes >= min_voxels) & (sizes >= self.min_share * sizes.max())
        if self.keep is not None:
            stays[np.argsort(-sizes, kind="stable")[self.keep :]] = False
        stays[0] = True
        return ~stays[components]


def _winner(probabilities: np.ndarray) -> np.ndarray:
    """The place of the region that wins each voxel, (z, y, x); -1 where the background does (Convention.decide)."""
    winner = probabilities.argmax(0)
    best = np.take_along_axis(probabilities, winner[None], 0)[0]
    return np.where(best > 1 - probabilities.sum(0), winner, -1)
