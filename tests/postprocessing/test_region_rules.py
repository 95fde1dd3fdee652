"""A rule for each region: what it does to known volumes, and that labels decided afterwards are the rules' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.context import PostprocessingContext, levels_after
from autobrats.postprocessing.region_rules import (
    Nesting,
    RegionRule,
    RegionRules,
    consistent_masks,
    cut_regions,
    decide_regions,
)

BRATS = KNOWN["brats2017"]
PLAIN = plain_labels({"anterior": 1, "posterior": 2})
SHAPE = (12, 16, 20)
UNIT = (1.0, 1.0, 1.0)
UNEVEN = (2.0, 1.0, 1.5)
GRID = [round(0.2 + 0.05 * step, 2) for step in range(13)]


def shaped(mask: np.ndarray, spacing_mm=UNIT, probability: np.ndarray | None = None, **values: Any) -> np.ndarray:
    rule = RegionRule(**values)
    return rule.shape(mask, mask.astype(np.float32) if probability is None else probability, spacing_mm)


def cubes() -> np.ndarray:
    """Three cubes of 5, 3 and 2 voxels along each axis; the largest has a cavity of one voxel."""
    mask = np.zeros(SHAPE, bool)
    mask[1:6, 1:6, 1:6] = True
    mask[3, 3, 3] = False
    mask[7:10, 8:11, 2:5] = True
    mask[2:4, 12:14, 15:17] = True
    return mask


def blobs(seed: int, regions: int = 3) -> np.ndarray:
    """Random probabilities, float32 (region, z, y, x)."""
    random = np.random.default_rng(seed)
    smooth = np.stack([gaussian_filter(random.normal(size=SHAPE), 1.5) for _ in range(regions)])
    return (1 / (1 + np.exp(-12 * smooth / smooth.std() / 3))).astype(np.float32)


def exclusive(seed: int, regions: int = 2) -> np.ndarray:
    """Random probabilities of labels, which leave some for the background."""
    logits = np.random.default_rng(seed).normal(0, 2, (regions + 1, *SHAPE))
    shares = np.exp(logits) / np.exp(logits).sum(0)
    return shares[:regions].astype(np.float32)


def context(convention: Convention, spacing_mm=UNIT, shape=SHAPE) -> PostprocessingContext:
    return PostprocessingContext(convention, np.zeros((1, *shape), np.float32), spacing_mm)


def test_the_default_leaves_a_mask_as_it_is() -> None:
    mask = cubes()
    assert np.array_equal(shaped(mask), mask)


@pytest.mark.parametrize(
    "least_mm3, kept", [(0, (124, 27, 8)), (8, (124, 27, 8)), (8.1, (124, 27)), (28, (124,)), (125, ())]
)
def test_small_components_go(least_mm3, kept) -> None:
    assert shaped(cubes(), min_component_mm3=least_mm3).sum() == sum(kept)


def test_components_are_measured_in_mm3() -> None:
    voxel = 2.0 * 1.0 * 1.5
    assert shaped(cubes(), UNEVEN, min_component_mm3=8 * voxel).sum() == 124 + 27 + 8
    assert shaped(cubes(), UNEVEN, min_component_mm3=8 * voxel + 0.1).sum() == 124 + 27


def test_diagonal_neighbours_are_one_component() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert shaped(mask, min_component_mm3=2).sum() == 2


def test_two_voxels_in_a_line_with_a_gap() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 4, 5] = mask[3, 4, 7] = True
    assert shaped(mask, min_component_mm3=1).sum() == 2
    assert shaped(mask, min_component_mm3=2).sum() == 0
    assert shaped(mask, keep_largest=True).sum() == 1


def test_only_the_largest_stays() -> None:
    found = shaped(cubes(), keep_largest=True)
    assert found.sum() == 124 and found[1:6, 1:6, 1:6].sum() == 124


def test_hysteresis_keeps_what_is_somewhere_sure() -> None:
    probability = np.where(cubes(), 0.6, 0.1).astype(np.float32)
    probability[8, 9, 3] = 0.81
    mask = probability > 0.5
    found = shaped(mask, probability=probability, seed_threshold=0.8)
    assert found.sum() == 27 and found[7:10, 8:11, 2:5].all()
    assert not shaped(mask, probability=probability, seed_threshold=0.82).any()
    assert np.array_equal(shaped(mask, probability=probability, seed_threshold=0.5), mask)  # not above the threshold
    levels = np.rint(probability * 255).astype(np.uint8)
    assert np.array_equal(shaped(mask, probability=levels, seed_threshold=0.8), found)


def test_holes_before_components_count_and_after_do_not() -> None:
    """With its cavity filled the first cube has 125 voxels; without, 124."""
    assert shaped(cubes(), fill_holes="before", min_component_mm3=125).sum() == 125
    assert shaped(cubes(), fill_holes="after", min_component_mm3=125).sum() == 0
    for when in ("before", "after"):
        assert shaped(cubes(), fill_holes=when, min_component_mm3=30).sum() == 125
    assert shaped(cubes(), fill_holes="after").sum() == 125 + 27 + 8


def test_a_component_inside_a_hole_is_swallowed_or_lost() -> None:
    """A shell around a loose voxel: it is one component with it only if the hole is filled first."""
    mask = np.zeros(SHAPE, bool)
    mask[1:8, 1:8, 1:8] = True
    mask[2:7, 2:7, 2:7] = False
    mask[4, 4, 4] = True
    assert shaped(mask, fill_holes="before", keep_largest=True).sum() == 343
    assert shaped(mask, keep_largest=True).sum() == 343 - 125


def test_a_small_region_is_absent_as_a_whole() -> None:
    total = 124 + 27 + 8
    assert shaped(cubes(), min_volume_mm3=total).sum() == total
    assert not shaped(cubes(), min_volume_mm3=total + 0.5).any()
    assert not shaped(cubes(), min_component_mm3=20, min_volume_mm3=total).any()  # what is left counts
    assert shaped(cubes(), UNEVEN, min_volume_mm3=3 * total).sum() == total


@pytest.mark.parametrize("by_mm", [-3.0, -2.0, -1.2, 1.0, 2.0, 3.7])
def test_borders_move_by_millimetres(by_mm) -> None:
    """Against scipy's distances; beside the volume's border, too, where nothing is known of the outside."""
    mask = cubes()
    mask[9:, 12:, 17:] = True
    distance = distance_transform_edt(~mask if by_mm > 0 else mask, sampling=UNEVEN)
    expected = distance <= by_mm if by_mm > 0 else distance > -by_mm
    assert np.array_equal(shaped(mask, UNEVEN, grow_mm=by_mm), expected)


@pytest.mark.parametrize(
    "values",
    [
        {"keep_largest": True},
        {"fill_holes": "before"},
        {"grow_mm": 2.0},
        {"grow_mm": -2.0},
        {"min_volume_mm3": 5.0},
        {"min_component_mm3": 5.0, "fill_holes": "after"},
    ],
)
def test_absent_and_whole(values) -> None:
    absent, whole = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    assert not shaped(absent, **values).any()
    assert shaped(whole, **values).all()
    corner = absent.copy()
    corner[:3, -3:, :3] = True
    if values.get("grow_mm") is None:
        assert np.array_equal(shaped(corner, **values), corner)


def test_masks_are_never_written_into() -> None:
    mask = cubes()
    for values in ({"fill_holes": "before"}, {"keep_largest": True}, {"grow_mm": 1.0}, {"min_volume_mm3": 1e6}):
        shaped(mask, **values)
        assert np.array_equal(mask, cubes())


@pytest.mark.parametrize(
    "values, message",
    [
        ({"threshold": 0}, "threshold must be above 0 and below 1, not 0"),
        ({"threshold": 1}, "threshold"),
        ({"seed_threshold": 1}, "seed_threshold must be 0 or more and below 1"),
        ({"min_component_mm3": -1}, "min_component_mm3 must be 0 or more"),
        ({"min_volume_mm3": float("inf")}, "min_volume_mm3"),
        ({"grow_mm": float("nan")}, "grow_mm must be finite"),
        ({"fill_holes": "always"}, "fill_holes must be never, before or after, not always"),
        ({"largest": True}, "the rule of ET has 'largest'; known: threshold, seed_threshold"),
    ],
)
def test_wrong_values_are_named(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        RegionRules({"ET": values})


def test_wrong_nesting_and_unknown_region() -> None:
    with pytest.raises(ValueError, match="nesting must be paint or clip, not both"):
        RegionRules({}, nesting="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the region 'RC'; there are WT, TC, ET"):
        RegionRules({"RC": {}})(blobs(0), context(BRATS))


@pytest.mark.parametrize("convention, make", [(BRATS, blobs), (PLAIN, lambda seed: exclusive(seed))])
@pytest.mark.parametrize("seed", range(3))
def test_default_rules_decide_as_the_convention_does(convention, make, seed) -> None:
    probabilities = make(seed)
    plain = [RegionRule()] * len(probabilities)
    for values in (probabilities, np.rint(probabilities * 255).astype(np.uint8)):
        decided = decide_regions(values, plain, "paint", convention, UNIT)
        assert np.array_equal(convention.to_labels(decided), convention.decide(values))
        assert np.array_equal(decided, convention.to_regions(convention.decide(values)).astype(bool))


def test_small_et_becomes_necrosis() -> None:
    """BraTS' known rule: ET below a volume is taken for absent, and its voxels stay in the core."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:9, 2:9, 2:9] = 2
    labels[3:6, 3:6, 3:6] = 1
    labels[4, 4, 4:6] = 4
    probabilities = BRATS.to_regions(labels).astype(np.float32)
    for least, expected in ((2, 4), (3, 1)):
        result = RegionRules({"ET": {"min_volume_mm3": least}})(probabilities, context(BRATS))
        decided = BRATS.decide(result)
        assert (decided[4, 4, 4:6] == expected).all()
        assert np.array_equal(decided != 0, labels != 0) and np.array_equal(decided == 2, labels == 2)


def test_an_inner_region_outside_the_outer_one_is_painted_or_clipped() -> None:
    probabilities = np.zeros((3, *SHAPE), np.float32)
    probabilities[0, 2:6, 2:6, 2:6] = 0.9
    probabilities[1, 2:6, 2:6, 4:8] = 0.9
    probabilities[2, 4, 4, 1:10] = 0.9
    painted = decide_regions(probabilities, [RegionRule()] * 3, "paint", BRATS, UNIT)
    clipped = decide_regions(probabilities, [RegionRule()] * 3, "clip", BRATS, UNIT)
    wt, tc, et = probabilities > 0.5
    assert np.array_equal(painted, [wt | tc | et, tc | et, et])
    assert np.array_equal(clipped, [wt, wt & tc, wt & tc & et])


def test_thresholds_of_labels_shift_their_competition() -> None:
    """At a threshold t a label beats the background from p * 0.5 / t on: 0.3 of 0.6 against 0.4."""
    probabilities = np.full((2, 1, 1, 1), [[[[0.3]]], [[[0.3]]]], np.float32)
    for thresholds, winner in (((0.5, 0.5), None), ((0.35, 0.5), 0), ((0.5, 0.35), 1), ((0.35, 0.3), 1)):
        regions = cut_regions(probabilities, thresholds, PLAIN)[:, 0, 0, 0]
        assert regions.tolist() == [winner == 0, winner == 1]


def random_rules(seed: int, regions: list[str]) -> dict[str, dict[str, Any]]:
    random = np.random.default_rng(seed)
    return {
        region: {
            "threshold": float(random.choice(GRID)),
            "seed_threshold": float(random.choice([0, 0.7])),
            "min_component_mm3": float(random.choice([0, 5, 40])),
            "keep_largest": bool(random.random() < 0.3),
            "fill_holes": str(random.choice(["never", "before", "after"])),
            "min_volume_mm3": float(random.choice([0, 100, 600])),
        }
        for region in regions
    }


@pytest.mark.parametrize("convention, make", [(BRATS, blobs), (PLAIN, exclusive)])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_decided_survives_the_step(convention, make, seed) -> None:
    """As float, and as the uint8 that a prediction is rounded to."""
    levels = np.rint(make(seed) * 255).astype(np.uint8)
    probabilities = levels.astype(np.float32) / 255
    rules = random_rules(seed, list(convention.regions))
    nesting: Nesting = "clip" if seed % 2 else "paint"
    wanted = decide_regions(levels, [RegionRule(**values) for values in rules.values()], nesting, convention, UNEVEN)
    before = probabilities.copy()
    result = RegionRules(rules, nesting)(probabilities, context(convention, UNEVEN))
    assert result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1
    assert np.array_equal(probabilities, before)
    for values in (result, np.rint(result * 255).astype(np.uint8)):
        assert np.array_equal(convention.to_regions(convention.decide(values)).astype(bool), wanted)


def test_every_level_and_threshold_agree_as_float_and_uint8() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 0)
    for threshold in GRID:
        rules = {region: {"threshold": threshold} for region in BRATS.regions}
        wanted = cut_regions(levels, [threshold] * 3, BRATS)
        assert np.array_equal(wanted, cut_regions(levels.astype(np.float32) / 255, [threshold] * 3, BRATS))
        assert wanted[0].sum() == 255 - int(threshold * 255 + 1e-9)
        result = RegionRules(rules)(levels.astype(np.float32) / 255, context(BRATS, shape=(16, 16, 1)))
        decided = BRATS.to_regions(BRATS.decide(np.rint(result * 255).astype(np.uint8)))
        assert np.array_equal(decided.astype(bool), wanted)


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.35, 0.5), (0.2, 0.8), (0.55, 0.35), (0.3, 0.7)])
def test_every_pair_of_levels_of_two_labels_agrees_as_float_and_uint8(thresholds) -> None:
    """Ties with the background are ties for both types."""
    one, other = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    levels = np.where(one + other <= 255, np.stack([one, other]), 0).astype(np.uint8)[..., None]
    wanted = cut_regions(levels, thresholds, PLAIN)
    assert np.array_equal(wanted, cut_regions(levels.astype(np.float32) / 255, thresholds, PLAIN))
    rules = {region: {"threshold": value} for region, value in zip(PLAIN.regions, thresholds, strict=True)}
    result = RegionRules(rules)(levels.astype(np.float32) / 255, context(PLAIN, shape=levels.shape[1:]))
    decided = PLAIN.decide(np.rint(result * 255).astype(np.uint8))
    assert np.array_equal(PLAIN.to_regions(decided).astype(bool), wanted)


@pytest.mark.parametrize("make, convention", [(blobs, BRATS), (exclusive, PLAIN)])
@pytest.mark.parametrize("nesting", ["paint", "clip"])
def test_levels_come_back_as_the_rounded_probabilities_would(make, convention, nesting) -> None:
    levels = np.rint(make(3) * 255).astype(np.uint8)
    values = {"threshold": 0.35, "min_component_mm3": 9, "fill_holes": "after"}
    step = RegionRules(dict.fromkeys(convention.regions, values), nesting)
    before = levels.copy()
    found = levels_after([step], levels, context(convention))
    as_floats = step(levels.astype(np.float32) / 255, context(convention))
    assert found.dtype == np.uint8 and np.array_equal(levels, before)
    assert np.array_equal(found, np.rint(as_floats * 255).astype(np.uint8))


@pytest.mark.parametrize("convention", [BRATS, PLAIN])
@pytest.mark.parametrize("nesting", ["paint", "clip"])
def test_regions_put_together_as_bits_are_those_of_a_label_map(convention, nesting) -> None:
    masks = np.random.default_rng(4).random((len(convention.regions), *SHAPE)) > 0.5
    decided = np.stack(consistent_masks(list(masks), convention, nesting))
    if nesting == "paint":
        assert np.array_equal(decided, convention.to_regions(convention.to_labels(masks)).astype(bool))
    assert np.array_equal(decided, convention.to_regions(convention.to_labels(decided)).astype(bool))
    bits = consistent_masks([np.packbits(mask) for mask in masks], convention, nesting)
    for mask, packed in zip(decided, bits, strict=True):
        assert np.array_equal(np.packbits(mask), packed)
