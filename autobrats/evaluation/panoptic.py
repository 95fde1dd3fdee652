"""Connected components of two masks, matched one to one: panoptic quality and lesion F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array

from autobrats.dataset.connected_components import connected_components

PANOPTIC_METRICS = (
    "panoptic_quality",
    "segmentation_quality",
    "recognition_quality",
    "lesion_f1",
    "lesion_sensitivity",
    "lesion_precision",
)
"""Each in 0..1; NaN where it divides nothing by nothing."""

_SMALLEST_DICE = 1e-6
"""What BraTS 2026 asks of a pair at least, and the worth of a further pair beside its Dice."""


@dataclass(frozen=True)
class Components:
    """The 26-connected components of a mask.

    Attributes:
        labels: 0 outside, 1 to N in the components, shape (z, y, x).
        voxels: of each component, shape (N,).
    """

    labels: np.ndarray
    voxels: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Components:
        """Those of a boolean mask, shape (z, y, x)."""
        if not mask.any():
            return cls(np.zeros(mask.shape, np.uint16), np.zeros(0, np.int64))
        labels = connected_components(mask)
        return cls(labels, np.bincount(labels[mask])[1:])

    def __len__(self) -> int:
        return len(self.voxels)


@dataclass(frozen=True)
class Pairs:
    """Which labels of two label maps meet, and in how many voxels; one entry a pair that does.

    Attributes:
        first, second: index of the label in each map, that is, the label minus 1; shape (pairs,).
        voxels: that carry both; shape (pairs,).
    """

    first: np.ndarray
    second: np.ndarray
    voxels: np.ndarray

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Pairs:
        """Those of two integer label maps of one shape, in which 0 is no label."""
        both = (first != 0) & (second != 0)
        one, other = first[both].astype(np.int64) - 1, second[both].astype(np.int64) - 1
        shape = (int(one.max(initial=-1)) + 1, int(other.max(initial=-1)) + 1)
        table = coo_array((np.ones(len(one), np.int64), (one, other)), shape)
        table.sum_duplicates()
        return cls(table.row.astype(np.int64), table.col.astype(np.int64), table.data)


def panoptic_scores(prediction: Components, reference: Components) -> dict[str, float]:
    """Detection and overlap of the components of two masks, with the keys of :data:`PANOPTIC_METRICS`.

    Panoptic quality is segmentation quality (the mean IoU of the matched pairs) times recognition quality (their F1),
    where a pair matches at an IoU above 0.5, which no component has with two others: Kirillov et al. 2019
    (doi:10.1109/CVPR.2019.00963), section 4.1 and equation 2. Lesion F1, sensitivity and precision are those of BraTS
    2026 (package BraTS_evaluation 0.0.10), whose pairs need only meet: see :func:`_most_overlapping`.

    Without a component in either mask all are NaN, and without a match segmentation quality is 0, as in panoptica.
    """
    pairs = Pairs.of(prediction.labels, reference.labels)
    sizes = prediction.voxels[pairs.first] + reference.voxels[pairs.second]
    iou = pairs.voxels / (sizes - pairs.voxels)
    matched_iou = iou[iou > 0.5]
    components = len(prediction) + len(reference)
    recognition = _ratio(2 * len(matched_iou), components)
    segmentation = float(matched_iou.mean()) if len(matched_iou) else recognition
    met = _most_overlapping(pairs, 2 * pairs.voxels / sizes)
    return {
        "panoptic_quality": segmentation * recognition,
        "segmentation_quality": segmentation,
        "recognition_quality": recognition,
        "lesion_f1": _ratio(2 * met, components),
        "lesion_sensitivity": _ratio(met, len(reference)),
        "lesion_precision": _ratio(met, len(prediction)),
    }


def _most_overlapping(pairs: Pairs, dice: np.ndarray) -> int:
    """The number of pairs in the one-to-one matching with the largest sum of ``dice``, shape (pairs,).

    Of matchings with the same sum, one with more pairs is taken.
    """
    allowed = dice >= _SMALLEST_DICE
    rows, row = np.unique(pairs.first[allowed], return_inverse=True)
    columns, column = np.unique(pairs.second[allowed], return_inverse=True)
    worth = np.zeros((len(rows), len(columns)))
    worth[row, column] = dice[allowed] + _SMALLEST_DICE
    return int(np.count_nonzero(worth[linear_sum_assignment(worth, maximize=True)]))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
