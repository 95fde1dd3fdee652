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
        spots: flat positions of the mask's voxels, shape (voxels,).
        owners: the component of each, from 0, shape (voxels,).
        voxels: how many each component has, shape (N,).
    """

    labels: np.ndarray
    spots: np.ndarray
    owners: np.ndarray
    voxels: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Components:
        """Those of a boolean mask, shape (z, y, x)."""
        mask = np.ascontiguousarray(mask)
        spots = np.flatnonzero(mask)
        if not len(spots):
            return cls(np.zeros(mask.shape, np.uint16), spots, spots, spots)
        labels = connected_components(mask)
        owners = labels.reshape(-1)[spots].astype(np.int64) - 1
        return cls(labels, spots, owners, np.bincount(owners))

    def __len__(self) -> int:
        return len(self.voxels)

    def meetings(self, labels: np.ndarray) -> Pairs:
        """Which component meets which label, (z, y, x), where 0 is no label; the second of a pair is the label - 1."""
        others = labels.reshape(-1)[self.spots].astype(np.int64) - 1
        met = others >= 0
        shape = (len(self), int(others.max(initial=-1)) + 1)
        table = coo_array((np.ones(np.count_nonzero(met), np.int64), (self.owners[met], others[met])), shape)
        table.sum_duplicates()
        return Pairs(table.row.astype(np.int64), table.col.astype(np.int64), table.data)


@dataclass(frozen=True)
class Pairs:
    """Pairs that share voxels.

    Attributes:
        first, second: the index of either, shape (pairs,); no pair comes twice.
        voxels: that both have; shape (pairs,).
    """

    first: np.ndarray
    second: np.ndarray
    voxels: np.ndarray


def panoptic_scores(prediction: Components, reference: Components) -> dict[str, float]:
    """Detection and overlap of the components of two masks, with the keys of :data:`PANOPTIC_METRICS`.

    Panoptic quality is segmentation quality (the mean IoU of the matched pairs) times recognition quality (their F1),
    where a pair matches at an IoU above 0.5, which no component has with two others: Kirillov et al. 2019
    (doi:10.1109/CVPR.2019.00963), section 4.1 and equation 2. Lesion F1, sensitivity and precision are those of BraTS
    2026 (package BraTS_evaluation 0.0.10), whose pairs need only meet: see :func:`_most_overlapping`.

    Without a component in either mask all are NaN, and without a match segmentation quality is 0, as in panoptica.
    """
    pairs = prediction.meetings(reference.labels)
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
