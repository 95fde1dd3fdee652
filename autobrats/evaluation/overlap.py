"""Overlap of two masks: voxel counts and the metrics made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobrats.dataset.conventions import Convention


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of a predicted and a reference mask in one volume.

    Attributes:
        both: voxels in prediction and reference (true positives).
        predicted: voxels in the prediction.
        reference: voxels in the reference.
        total: voxels in the volume.
    """

    both: int
    predicted: int
    reference: int
    total: int

    @classmethod
    def of(cls, prediction: np.ndarray, reference: np.ndarray, total: int | None = None) -> Overlap:
        """Count two boolean masks of one shape; ``total`` is the volume's voxel count if the masks are crops of it."""
        return cls(
            both=int(np.count_nonzero(prediction & reference)),
            predicted=int(np.count_nonzero(prediction)),
            reference=int(np.count_nonzero(reference)),
            total=prediction.size if total is None else total,
        )

    def metrics(self) -> dict[str, float]:
        """Dice, IoU, sensitivity, specificity and precision, each in 0..1.

        A region absent from both scores 1 (BraTS' rule). What divides nothing by nothing otherwise (the sensitivity
        without a reference, the precision without a prediction, the specificity without a background) is NaN.
        """
        union = self.predicted + self.reference - self.both
        if union == 0:
            return {"dice": 1.0, "iou": 1.0, "sensitivity": 1.0, "specificity": 1.0, "precision": 1.0}
        return {
            "dice": 2 * self.both / (self.predicted + self.reference),
            "iou": self.both / union,
            "sensitivity": _ratio(self.both, self.reference),
            "specificity": _ratio(self.total - union, self.total - self.reference),
            "precision": _ratio(self.both, self.predicted),
        }


def region_dice(prediction: np.ndarray, reference: np.ndarray, convention: Convention) -> dict[str, float]:
    """Dice of every region of two label maps of the same shape; a region that is absent in both has 1."""
    pairs = zip(convention.to_regions(prediction) > 0, convention.to_regions(reference) > 0, strict=True)
    return {region: Overlap.of(*pair).metrics()["dice"] for region, pair in zip(convention.regions, pairs, strict=True)}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
