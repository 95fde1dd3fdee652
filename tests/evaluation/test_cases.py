"""The scores of a case: known answers, absent regions, real pairs against MONAI and medpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.conventions import Convention
from autobrats.evaluation.cases import METRICS, score_case, score_region

BRATS = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)
MM = (1.0, 1.0, 1.0)
WORST_MM = 373.12866


def test_known_answers() -> None:
    reference = np.zeros((10, 10, 10), np.uint8)
    reference[2:6, 2:6, 2:6] = 2
    reference[3:5, 3:5, 3:5] = 4
    prediction = np.roll(reference, 1, axis=2)
    scores = score_case(prediction, reference, BRATS, (2.0, 1.0, 1.5))
    assert set(scores) == {"WT", "TC", "ET"}
    assert set(scores["WT"]) == set(METRICS)
    assert scores["WT"]["dice"] == 0.75
    assert scores["WT"]["iou"] == 0.6
    assert scores["WT"]["sensitivity"] == scores["WT"]["precision"] == 0.75
    assert scores["WT"]["specificity"] == pytest.approx((1000 - 80) / (1000 - 64))
    assert scores["ET"]["dice"] == scores["TC"]["dice"] == 0.5
    assert scores["WT"]["hd95"] == scores["WT"]["hd"] == 1.5
    # Of a surface's 56 voxels 36 are on both, 4 inside the other mask 1 mm from its surface, 16 outside 1.5 mm from it.
    assert scores["WT"]["nsd"] == pytest.approx(40 / 56)
    assert scores["ET"]["nsd"] == 0.5
    assert score_case(prediction, reference, BRATS, (2.0, 1.0, 1.5), tolerance_mm=1.5)["WT"]["nsd"] == 1
    assert scores["ET"]["reference_volume_ml"] == scores["ET"]["volume_ml"] == pytest.approx(0.024)
    assert scores["ET"]["volume_error_ml"] == 0


def test_the_volume_error_has_a_sign() -> None:
    reference = np.zeros((4, 4, 4), np.uint8)
    reference[0, 0, :2] = 4
    prediction = np.zeros_like(reference)
    prediction[0, 0, 0] = 4
    assert score_case(prediction, reference, BRATS, (10.0, 10.0, 10.0))["ET"]["volume_error_ml"] == -1.0


def test_a_region_absent_from_both_is_perfect() -> None:
    empty = np.zeros((5, 5, 5), np.uint8)
    for scores in score_case(empty, empty, BRATS, MM).values():
        assert scores["dice"] == scores["sensitivity"] == scores["specificity"] == scores["nsd"] == 1
        assert scores["hd95"] == scores["hd"] == scores["volume_ml"] == 0


@pytest.mark.parametrize("absent, expected", [("brats", WORST_MM), ("infinite", math.inf), ("excluded", math.nan)])
def test_a_region_absent_from_one(absent: str, expected: float) -> None:
    edema = np.zeros((5, 5, 5), np.uint8)
    edema[2] = 2
    enhancing = edema.copy()
    enhancing[2, 2, 2] = 4
    missed = score_case(edema, enhancing, BRATS, MM, absent=absent)["ET"]
    invented = score_case(enhancing, edema, BRATS, MM, absent=absent)["ET"]
    for scores in (missed, invented):
        assert scores["dice"] == scores["nsd"] == 0
        assert scores["hd95"] == pytest.approx(expected, abs=1e-5, nan_ok=True)
        assert scores["hd"] == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert missed["sensitivity"] == 0 and math.isnan(missed["precision"])
    assert math.isnan(invented["sensitivity"]) and invented["precision"] == 0


def test_a_full_mask_has_no_specificity() -> None:
    scores = score_region(np.ones((3, 3, 3), bool), np.ones((3, 3, 3), bool), MM)
    assert scores["dice"] == 1 and scores["hd95"] == 0 and math.isnan(scores["specificity"])


def test_cropping_the_volume_changes_only_the_specificity() -> None:
    random = np.random.default_rng(0)
    reference, prediction = np.zeros((2, 20, 20, 20), np.uint8)
    reference[5:12, 6:13, 7:14] = random.choice([0, 1, 2, 4], (7, 7, 7))
    prediction[5:12, 6:13, 7:14] = random.choice([0, 1, 2, 4], (7, 7, 7))
    whole = score_case(prediction, reference, BRATS, MM)
    cropped = score_case(prediction[4:13, 4:15, 4:15], reference[4:13, 4:15, 4:15], BRATS, MM)
    for region, scores in whole.items():
        assert scores.pop("specificity") > cropped[region].pop("specificity")
        assert scores == cropped[region]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        score_case(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4), np.uint8), BRATS, MM)


def test_float_label_maps_are_scored_alike() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1:3, 1:3, 1:3] = 4
    assert score_case(labels.astype(np.float32), labels, BRATS, MM) == score_case(labels, labels, BRATS, MM)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_real_pairs_agree_with_monai_and_medpy(realdata: Path) -> None:
    import nibabel
    import torch
    from medpy.metric import binary
    from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice

    for file in sorted((realdata / "real_predictions").glob("*_prediction.nii.gz"))[3:5]:
        image = nibabel.load(file)
        other = nibabel.load(file.with_name(file.name.replace("_prediction.", "_reference.")))
        x, y, z = (float(size) for size in image.header.get_zooms()[:3])
        labels = [np.ascontiguousarray(np.asarray(i.dataobj).T.astype(np.uint8)) for i in (image, other)]
        scores = score_case(labels[0], labels[1], BRATS, (z, y, x))
        masks = [BRATS.to_regions(volume) for volume in labels]
        tensors = [torch.from_numpy(mask)[None] for mask in masks]
        dice = DiceMetric(reduction="none")(*tensors)[0].tolist()
        hd95 = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=(z, y, x))[
            0
        ].tolist()
        nsd = compute_surface_dice(*tensors, [1.2] * 3, include_background=True, spacing=(z, y, x))[0].tolist()
        within = score_case(labels[0], labels[1], BRATS, (z, y, x), tolerance_mm=1.2, percentile="pooled")
        for channel, region in enumerate(BRATS.regions):
            assert scores[region]["dice"] == pytest.approx(dice[channel], abs=1e-6)
            assert within[region]["nsd"] == pytest.approx(nsd[channel], abs=1e-6)
            assert scores[region]["hd95"] == pytest.approx(hd95[channel], rel=1e-5)
        wt = (masks[0][0], masks[1][0])
        for metric, reference in (
            ("iou", binary.jc),
            ("sensitivity", binary.sensitivity),
            ("specificity", binary.specificity),
            ("precision", binary.precision),
        ):
            assert scores["WT"][metric] == pytest.approx(reference(*wt))
        assert scores["WT"]["dice"] == pytest.approx(binary.dc(*wt))
        box = bounding_slices(wt[0] | wt[1])
        assert box is not None
        wt = (wt[0][box], wt[1][box])  # medpy looks at the whole volume otherwise
        assert scores["WT"]["hd"] == pytest.approx(binary.hd(*wt, voxelspacing=(z, y, x)))
        assert within["WT"]["hd95"] == pytest.approx(binary.hd95(*wt, voxelspacing=(z, y, x)))
