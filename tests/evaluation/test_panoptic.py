"""Panoptic quality and lesion F1: known answers, and every matching tried."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage

from autobrats.evaluation.panoptic import PANOPTIC_METRICS, Components, panoptic_scores


def rods(*stretches: tuple[int, int]) -> np.ndarray:
    """Voxels in a line along x, from start to stop."""
    mask = np.zeros((3, 3, 40), bool)
    for start, stop in stretches:
        mask[1, 1, start:stop] = True
    return mask


def score(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    return panoptic_scores(Components.of(prediction), Components.of(reference))


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=(8, 9, 10)), 0.9)
    return field > np.quantile(field, 0.9), np.roll(field, 1, 1) + field > np.quantile(field, 0.97)


def test_known_answers() -> None:
    """IoU 8/10, exactly a half (no match), one missed and one false."""
    reference = rods((0, 10), (12, 16), (30, 34))
    prediction = rods((2, 10), (14, 16), (20, 22))
    scores = score(prediction, reference)
    assert tuple(scores) == PANOPTIC_METRICS
    assert scores["segmentation_quality"] == pytest.approx(0.8)
    assert scores["recognition_quality"] == pytest.approx(1 / 3)  # 1 / (1 + 2 / 2 + 2 / 2)
    assert scores["panoptic_quality"] == pytest.approx(0.8 / 3)
    assert scores["lesion_f1"] == scores["lesion_sensitivity"] == scores["lesion_precision"] == pytest.approx(2 / 3)


def test_components_that_share_an_edge_or_a_corner_are_one() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 1] = True
    components = Components.of(mask)
    assert len(components) == 1 and components.voxels.tolist() == [3]


def test_the_largest_total_overlap_decides_not_the_largest_pair() -> None:
    """The long rods overlap most (Dice 0.6), but then the others have no partner (Dice 0.52 and 0.43)."""
    reference = rods((0, 20), (22, 30))
    prediction = rods((0, 7), (8, 28))
    assert score(prediction, reference)["lesion_f1"] == 1


def test_nothing_matched_and_nothing_there() -> None:
    nothing, something = rods(), rods((3, 7))
    assert all(math.isnan(value) for value in score(nothing, nothing).values())
    missed = score(nothing, something)
    assert math.isnan(missed.pop("lesion_precision")) and set(missed.values()) == {0}
    false = score(something, nothing)
    assert math.isnan(false.pop("lesion_sensitivity")) and set(false.values()) == {0}
    assert set(score(something, something).values()) == {1}
    everywhere = np.ones((4, 5, 6), bool)
    assert set(score(everywhere, everywhere).values()) == {1}


def test_the_pairs_are_those_of_the_voxels() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (8, 9, 10)).astype(np.uint16)
    for mask in (blobs(4)[0], np.asfortranarray(blobs(4)[0])):
        components = Components.of(mask)
        pairs = components.meetings(labels)
        found = dict(zip(zip(pairs.first, pairs.second, strict=True), pairs.voxels, strict=True))
        every = [(part, label) for part in range(len(components)) for label in range(3)]
        counts = {pair: np.sum((components.labels == pair[0] + 1) & (labels == pair[1] + 1)) for pair in every}
        assert len(components) > 3
        assert found == {pair: count for pair, count in counts.items() if count}


@pytest.mark.parametrize("seed", range(12))
def test_every_matching_tried(seed: int) -> None:
    """Panoptic quality from all pairs; F1 from the best of all one-to-one matchings."""
    prediction, reference = (ndimage.label(mask, np.ones((3, 3, 3)))[0] for mask in blobs(seed))
    predicted, referred = ([labels == n for n in range(1, labels.max() + 1)] for labels in (prediction, reference))
    if len(predicted) > 7 or len(referred) > 7:
        predicted, referred = predicted[:7], referred[:7]
    both = np.array([[np.sum(a & b) for b in referred] for a in predicted])
    sizes = np.array([[a.sum() + b.sum() for b in referred] for a in predicted])
    iou, dice = both / (sizes - both), 2 * both / sizes
    total = len(predicted) + len(referred)
    scores = score(np.any(predicted, axis=0), np.any(referred, axis=0))
    quality = 2 * iou[iou > 0.5].sum() / total
    assert scores["panoptic_quality"] == pytest.approx(quality)
    if len(predicted) > len(referred):
        dice = dice.T
    matchings = (dice[np.arange(len(dice)), list(order)] for order in permutations(range(dice.shape[1]), len(dice)))
    best = max(matchings, key=lambda values: (round(values.sum(), 9), np.count_nonzero(values)))
    assert scores["lesion_f1"] == pytest.approx(2 * np.count_nonzero(best) / total)
