"""Between probabilities of overlapping regions and of labels that exclude each other."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.conventions import Convention


class ExclusiveLabels:
    """The background and the labels that a convention's regions can tell apart.

    Labels in the same regions are one here (NCR and NET of BraTS 2012 to 2016 lie both in WT and TC), and a label in no
    region is background. With M the matrix that says which label lies in which region, and a row of ones for the
    background and the labels together, label probabilities q make region probabilities M q = (1, p). Back goes the
    pseudo-inverse: q = M^+ (1, p), what is negative set to 0 and the sum to 1.

    For nested regions these are the differences: background 1 - WT, ED = WT - TC, NCR = TC - ET, ET; for exclusive ones
    the regions themselves and the background 1 - sum p. Probabilities that contradict each other (TC above WT, exclusive
    regions with a sum above 1) come to the closest that the least squares and the scaling give; others come back as they
    were. Regions that cross each other work too: of the q that fit, M^+ takes the one with the least sum of squares.
    """

    def __init__(self, convention: Convention) -> None:
        integers = sorted({integer for members in convention.regions.values() for integer in members})
        membership = np.array(
            [[integer in members for integer in (0, *integers)] for members in convention.regions.values()], np.float32
        )
        self.membership = np.unique(membership, axis=1)
        """float32, (region, label): 1 where the label lies in the region; the background is the label 0."""
        self._from_regions = np.linalg.pinv(np.vstack([np.ones_like(self.membership[:1]), self.membership]))

    def of_regions(self, probabilities: np.ndarray) -> np.ndarray:
        """Label probabilities, float32 (voxel, label), of region probabilities, (region, voxel)."""
        labels = (self._from_regions[:, 1:] @ probabilities + self._from_regions[:, :1]).T
        labels = np.maximum(labels, 0, dtype=np.float32)
        labels /= labels.sum(1, keepdims=True)
        return labels

    def to_regions(self, labels: np.ndarray) -> np.ndarray:
        """Region probabilities, float32 (region, voxel), of label probabilities, (voxel, label)."""
        return np.clip(self.membership @ labels.T, 0, 1)
