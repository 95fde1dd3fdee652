"""The regions of a tumour: combinations of its parts, and their largest components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.connected_components import connected_components
from autobrats.survival.radiomics.feature_sets import LABEL_COMBINATIONS


@dataclass(frozen=True)
class Region:
    """A region in its bounding box.

    Attributes:
        place: of the box in the study, (z, y, x).
        mask: bool, (z, y, x), of the box; at least one voxel.
        whole: whether it is all voxels of its labels (a largest component may be).
    """

    place: tuple[slice, slice, slice]
    mask: np.ndarray
    whole: bool = True


class Regions:
    """Regions of one study, each cut out once.

    Args:
        masks: bool, (z, y, x), by part of the tumour.
    """

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        self._masks = masks
        self._found: dict[tuple[str, bool], Region | None] = {}

    def missing_parts(self, labels: str) -> list[str]:
        """Parts of a combination of labels that have no mask, not even an empty one."""
        return [part for part in LABEL_COMBINATIONS[labels] if part not in self._masks]

    def region(self, labels: str, largest: bool = False) -> Region | None:
        """A combination of labels, or its largest component (26 neighbours, the first of equals); None if it is empty.

        Raises:
            KeyError: if one of the parts has no mask.
        """
        key = labels, largest
        if key not in self._found:
            self._found[key] = self._largest(labels) if largest else self._combined(labels)
        return self._found[key]

    def _combined(self, labels: str) -> Region | None:
        parts = [self._masks[part] for part in LABEL_COMBINATIONS[labels]]
        boxes = [box for box in map(bounding_slices, parts) if box is not None]
        if not boxes:
            return None
        z, y, x = (slice(min(part.start for part in along), max(part.stop for part in along)) for along in zip(*boxes))
        return Region((z, y, x), np.logical_or.reduce([part[z, y, x] for part in parts]))

    def _largest(self, labels: str) -> Region | None:
        region = self.region(labels)
        if region is None:
            return None
        components = connected_components(region.mask)
        sizes = np.bincount(components.ravel())
        if len(sizes) == 2:
            return region
        mask = components == 1 + int(sizes[1:].argmax())
        inner = bounding_slices(mask)
        assert inner is not None
        z, y, x = (
            slice(outer.start + part.start, outer.start + part.stop)
            for outer, part in zip(region.place, inner, strict=True)
        )
        return Region((z, y, x), np.ascontiguousarray(mask[inner]), whole=False)
