"""Where a tumour lies in the brain, and where the brain is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from autobrats.survival.brain import brain_mask
from autobrats.survival.survival_cases import cases_of_folders
from autobrats.survival.tumour_position import POSITION_NAMES, VENTRICLES_FROM_CENTROID, tumour_position

ONE_MM = (1.0, 1.0, 1.0)
SHAPE = (91, 91, 91)
MIDDLE = 45


def ball(radius: float, z: float = 0, y: float = 0, x: float = 0) -> np.ndarray:
    """Around a place given from the middle of the volume, in voxels."""
    places = np.indices(SHAPE) - MIDDLE - np.array([z, y, x]).reshape(3, 1, 1, 1)
    return (places**2).sum(0) <= radius**2


BRAIN = ball(40)
NONE = np.zeros(SHAPE, bool)


def test_along_the_axes_of_the_brain() -> None:
    values = tumour_position(ball(5, z=-10, y=8, x=20), NONE, BRAIN, ONE_MM)
    # Of a box of 81 voxels, whose half is 40.5.
    assert values["size_WT_to_left"] == values["size_WT_off_midline"] == pytest.approx(20 / 40.5)
    assert values["size_WT_to_back"] == pytest.approx(8 / 40.5)
    assert values["size_WT_to_top"] == pytest.approx(-10 / 40.5)


@pytest.mark.parametrize("spacing", [ONE_MM, (3.0, 1.0, 0.5)])
def test_distance_to_the_ventricles(spacing: tuple[float, float, float]) -> None:
    up, back, left = (81 * share for share in VENTRICLES_FROM_CENTROID)
    assert up > 0 and back > 0 and left == 0
    whole, core = ball(9, x=-15), ball(4, x=-15)
    values = tumour_position(whole, core, BRAIN, spacing)
    offset = np.array([-up, -back, -15]) * spacing
    assert values["size_WT_centre_to_ventricles_mm"] == pytest.approx(np.linalg.norm(offset))
    nearest = (np.argwhere(core) - MIDDLE - [up, back, 0]) * spacing
    assert values["size_TC_to_ventricles_mm"] == pytest.approx(np.sqrt((nearest**2).sum(1)).min())


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_distance_to_the_border(step: float) -> None:
    whole, core = ball(10, y=24), ball(6, y=20)
    values = tumour_position(whole, core, BRAIN, (step, step, step))
    outside = cKDTree(np.argwhere(~BRAIN) * step)
    assert values["size_TC_to_border_mm"] == pytest.approx(outside.query(np.argwhere(core) * step)[0].min())
    for region, mask in (("WT", whole), ("TC", core)):
        share = (outside.query(np.argwhere(mask) * step)[0] <= 10).mean()
        assert values[f"size_{region}_near_border"] == pytest.approx(share)


def test_a_mirrored_head_has_a_mirrored_tumour() -> None:
    rng = np.random.default_rng(4)
    core = ball(9, z=4, y=-7, x=12) & (rng.random(SHAPE) < 0.5)
    whole = core | ball(6, z=9, y=-2, x=15)
    brain = BRAIN | ball(20, z=-25, y=20)
    spacing = (1.3, 0.9, 1.1)
    values = tumour_position(whole, core, brain, spacing)
    mirrored = tumour_position(whole[..., ::-1], core[..., ::-1], brain[..., ::-1], spacing)
    assert values["size_WT_to_left"] > 0.1
    for name in POSITION_NAMES:
        sign = -1 if name == "size_WT_to_left" else 1
        assert mirrored[name] == pytest.approx(sign * values[name], abs=1e-9), name
    upside_down = tumour_position(whole[::-1], core[::-1], brain[::-1], spacing)
    assert upside_down["size_WT_to_top"] == pytest.approx(-values["size_WT_to_top"])
    back_to_front = tumour_position(whole[:, ::-1], core[:, ::-1], brain[:, ::-1], spacing)
    assert back_to_front["size_WT_to_back"] == pytest.approx(-values["size_WT_to_back"])


def test_a_tumour_that_reaches_over_the_border_has_a_place() -> None:
    values = tumour_position(ball(6, y=38), ball(2, y=42), BRAIN, ONE_MM)
    assert all(math.isfinite(value) for value in values.values())
    assert values["size_TC_to_border_mm"] > 0


def test_what_is_not_there_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in tumour_position(NONE, NONE, BRAIN, ONE_MM).values())
    assert all(math.isnan(value) for value in tumour_position(ball(5), NONE, None, ONE_MM).values())
    assert all(math.isnan(value) for value in tumour_position(ball(5), NONE, NONE, ONE_MM).values())
    without_core = tumour_position(ball(5), NONE, BRAIN, ONE_MM)
    assert {name for name, value in without_core.items() if math.isnan(value)} == {
        "size_TC_to_ventricles_mm",
        "size_TC_to_border_mm",
        "size_TC_near_border",
    }


@pytest.mark.parametrize("background", [0.0, -1.5])
def test_the_brain_is_what_differs_from_the_background(background: float) -> None:
    image = np.full(SHAPE, background, np.float32)
    image[BRAIN] = 7
    image[ball(6)] = background  # a hole: fluid
    image[2, 2, 5:9] = 3  # noise outside
    other = np.full(SHAPE, background, np.float32)
    other[ball(12, x=35)] = 4
    found = brain_mask({"t1n": image, "t2w": other})
    assert found is not None
    np.testing.assert_array_equal(found, BRAIN | ball(12, x=35))


def test_without_images_or_background_there_is_no_brain() -> None:
    assert brain_mask({}) is None
    assert brain_mask({"t1n": np.zeros((4, 4, 4), np.float32)}) is None
    rng = np.random.default_rng(0)
    assert brain_mask({"t1n": rng.normal(size=(20, 20, 20)).astype(np.float32)}) is None


@pytest.mark.realdata
def test_of_real_studies(realdata: Path) -> None:
    from autobrats.survival.extraction import case_features

    (case,) = cases_of_folders(realdata / "brats_full" / "BraTS2018").cases
    values = case_features(case).values
    # Its tumour is in the left parietal lobe, and some of it lies outside of the T1 image's brain.
    assert 0.3 < values["size_WT_to_left"] < 0.7
    assert values["size_WT_to_top"] > 0
    assert values["size_TC_to_border_mm"] < 5
    assert 10 < values["size_TC_to_ventricles_mm"] < values["size_WT_centre_to_ventricles_mm"] < 60
