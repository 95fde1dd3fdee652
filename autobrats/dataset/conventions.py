"""Conventions: what the integers of a segmentation file mean, and the regions that are trained and scored."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict


def above(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Where a probability, in 0..1 or uint8 in 0..255, is above a threshold of at most 1: boolean, of the same shape."""
    if probability.dtype != np.uint8:
        return probability > threshold
    # Whole numbers are compared with the whole number below, which takes a tenth of the time.
    return probability > np.uint8(np.float32(threshold) * 255)


class Convention(BaseModel):
    """The meaning of the integers in a year's or a task's segmentation files.

    Attributes:
        name: for example ``brats2017``.
        labels: integer by label name, without the background (always 0).
        regions: the integers that make up each region, in the order of the channels.
        paint: (region, integer) pairs; painting them in this order turns regions into a label map.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    labels: dict[str, int]
    regions: dict[str, list[int]]
    paint: list[tuple[str, int]]

    @property
    def exclusive(self) -> bool:
        """True if no label belongs to two regions (plain labels)."""
        integers = [integer for region in self.regions.values() for integer in region]
        return len(integers) == len(set(integers))

    def to_regions(self, labels: np.ndarray) -> np.ndarray:
        """Regions of a label map: uint8, shape (region, \\*labels.shape)."""
        # Comparisons take a fraction of a lookup table's time.
        members = {integer: labels == integer for integers in self.regions.values() for integer in integers}
        regions = np.zeros((len(self.regions), *labels.shape), np.uint8)
        for region, integers in zip(regions, self.regions.values(), strict=True):
            for integer in integers:
                region |= members[integer]
        return regions

    def to_labels(self, regions: np.ndarray) -> np.ndarray:
        """The label map, uint8, that belongs to boolean regions of shape (region, ...)."""
        names = list(self.regions)
        labels = np.zeros(regions.shape[1:], np.uint8)
        for region, integer in self.paint:
            np.putmask(labels, regions[names.index(region)], np.uint8(integer))
        return labels

    def decide(self, probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """The label map of region probabilities, shape (region, ...), each in 0..1 or uint8 in 0..255.

        Overlapping regions are thresholded and painted; exclusive ones compete with each other and the background
        (the remainder to 1) for every voxel.
        """
        if not self.exclusive:
            return self.to_labels(above(probabilities, threshold))
        scale = 255 if probabilities.dtype == np.uint8 else 1
        winner = probabilities.argmax(0)
        best = np.take_along_axis(probabilities, winner[None], 0)[0]
        background = scale - probabilities.sum(0, dtype=np.float32)
        integers = np.array([dict(self.paint)[region] for region in self.regions], np.uint8)
        return np.where(best > background, integers[winner], 0).astype(np.uint8)
