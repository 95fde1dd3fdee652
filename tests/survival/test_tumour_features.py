"""Sizes, shapes and foci of bodies with known answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from autobrats.survival.survival_cases import cases_of_folders
from autobrats.survival.tumour_features import TUMOUR_FEATURE_NAMES, tumour_features
from autobrats.survival.tumour_parts import tumour_parts

ONE_MM = (1.0, 1.0, 1.0)
SPACINGS = [ONE_MM, (2.5, 0.8, 1.1)]


def ball(radius_mm: float, spacing_mm: tuple[float, float, float] = ONE_MM, size_mm: float = 50) -> np.ndarray:
    """In the middle of a volume of that size."""
    shape = [int(size_mm / step) for step in spacing_mm]
    places = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing_mm, strict=True)]
    z, y, x = np.meshgrid(*places, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


def features(**masks: np.ndarray) -> dict[str, float]:
    """Of the parts given, the others empty, at 1 mm and without a brain."""
    return measured(ONE_MM, **masks)


def measured(spacing_mm: tuple[float, float, float], **masks: np.ndarray) -> dict[str, float]:
    nothing = np.zeros(next(iter(masks.values())).shape, bool)
    return tumour_features({part: masks.get(part, nothing) for part in ("NCR", "ED", "ET")}, spacing_mm).values


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ball(spacing: tuple[float, float, float]) -> None:
    values = measured(spacing, ET=ball(18, spacing))
    millilitres = 4 / 3 * math.pi * 18**3 / 1000
    for region in ("WT", "TC", "ET"):
        assert values[f"size_{region}_ml"] == pytest.approx(millilitres, rel=0.02)
        # The mesh over cubic voxels of a ball is 8 % larger than the ball's surface, at any resolution; over flat ones more.
        excess = 1.085 if spacing == ONE_MM else 1.155
        assert values[f"size_{region}_surface_mm2"] == pytest.approx(excess * 4 * math.pi * 18**2, rel=0.02)
        assert values[f"size_{region}_sphericity"] == pytest.approx(1 / excess, rel=0.02)
        assert values[f"size_{region}_diameter_mm"] == pytest.approx(36, abs=max(2, *spacing))
    for name, step in zip(("up_down", "front_back", "left_right"), spacing, strict=True):
        assert values[f"size_WT_{name}_mm"] == pytest.approx(36, abs=step)
    assert values["size_NCR_ml"] == values["size_ED_ml"] == 0
    assert values["size_ET_of_WT"] == 1


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_box(spacing: tuple[float, float, float]) -> None:
    shape = (12, 20, 30)
    box = np.zeros((40, 40, 40), bool)
    box[5:17, 6:26, 7:37] = True
    values = measured(spacing, ED=box)
    a, b, c = (count * step for count, step in zip(shape, spacing, strict=True))
    assert values["size_WT_ml"] == pytest.approx(a * b * c / 1000)
    assert [values[f"size_WT_{way}_mm"] for way in ("up_down", "front_back", "left_right")] == pytest.approx([a, b, c])
    # The mesh cuts the box's edges off.
    area = 2 * (a * b + b * c + c * a)
    assert 0.9 * area < values["size_WT_surface_mm2"] < area
    # From the middle of one edge voxel's face to that of the opposite one.
    corners = [
        math.dist((0, 0, 0), [(n - (axis != other)) * spacing[axis] for axis, n in enumerate(shape)])
        for other in range(3)
    ]
    assert values["size_WT_diameter_mm"] == pytest.approx(max(corners))
    assert values["size_ED_of_WT"] == 1
    assert values["size_TC_ml"] == values["size_TC_surface_mm2"] == values["size_ET_rim_mm"] == 0
    assert math.isnan(values["size_NCR_of_TC"])


@pytest.mark.parametrize("inner", [10, 14, 16])
def test_the_rim_of_a_shell(inner: int) -> None:
    whole, core = ball(18), ball(inner)
    values = features(ET=whole & ~core, NCR=core)
    # The mesh is 8 % larger than the shell's surface.
    assert values["size_ET_rim_mm"] == pytest.approx((18 - inner) / 1.08, rel=0.08)
    assert values["size_NCR_of_TC"] == pytest.approx((inner / 18) ** 3, rel=0.03)
    assert values["size_NCR_of_WT"] == values["size_NCR_of_TC"]


@pytest.mark.parametrize("thickness", [1, 2, 5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_rim_of_a_plate(thickness: int, axis: int) -> None:
    spacing = (1.5, 1.0, 0.7)
    shape, cut = [80, 80, 80], [slice(2, -2)] * 3
    shape[axis], cut[axis] = 9, slice(2, 2 + thickness)
    plate = np.zeros(shape, bool)
    plate[tuple(cut)] = True
    values = measured(spacing, ET=plate)
    # 2 V / S of a plate with sides of n voxels is smaller than its thickness t by a share of about 2 t / n.
    assert values["size_ET_rim_mm"] == pytest.approx(thickness * spacing[axis], rel=0.03 + 0.04 * thickness)


def test_foci_are_counted_from_50_mm3_on() -> None:
    mask = np.zeros((10, 10, 60), bool)
    mask[2:8, 2:8, 2:12] = True  # 360 mm3
    mask[2:7, 2:7, 20:22] = True  # 50 mm3
    mask[2:7, 2:5, 30:33] = True  # 45 mm3
    mask[0, 0, 50] = mask[1, 1, 51] = True  # they touch at a corner
    values = features(ED=mask)
    assert values["size_WT_foci"] == 2
    assert values["size_WT_largest_focus"] == pytest.approx(360 / 457)
    assert values["size_TC_foci"] == 0
    assert math.isnan(values["size_TC_largest_focus"])
    assert measured((1.0, 1.0, 1.2), ED=mask)["size_WT_foci"] == 3


def test_nothing_at_all() -> None:
    nothing = np.zeros((4, 5, 6), bool)
    found = tumour_features(dict.fromkeys(("NCR", "ED", "ET"), nothing), ONE_MM, ~nothing)
    assert tuple(found.values) == TUMOUR_FEATURE_NAMES
    assert found.notes == ["there is no tumour"]
    sizes = [name for name in TUMOUR_FEATURE_NAMES if not math.isnan(found.values[name])]
    assert all(found.values[name] == 0 for name in sizes)
    assert {"size_WT_ml", "size_ET_surface_mm2", "size_ET_rim_mm", "size_WT_left_right_mm", "size_TC_foci"} <= {*sizes}
    assert not {"size_ET_of_WT", "size_WT_sphericity", "size_WT_to_left", "size_WT_near_border"} & {*sizes}


@pytest.mark.parametrize("part", ["NCR", "ED", "ET"])
@pytest.mark.parametrize("place", [(0, 0, 0), (3, 4, 5), (1, 2, 3)])
def test_one_voxel(part: str, place: tuple[int, int, int]) -> None:
    masks = {name: np.zeros((4, 5, 6), bool) for name in ("NCR", "ED", "ET")}
    masks[part][place] = True
    found = tumour_features(masks, (2.0, 1.0, 1.0), np.ones((4, 5, 6), bool))
    assert tuple(found.values) == TUMOUR_FEATURE_NAMES
    assert found.values[f"size_{part}_ml"] == 0.002
    assert found.values["size_WT_foci"] == found.values["size_WT_largest_focus"] == 1
    assert found.values["size_WT_up_down_mm"] == found.values["size_WT_diameter_mm"] == 2
    assert 0 < found.values["size_WT_sphericity"] < 1
    absent = [name for name in ("NCR", "ED", "ET") if name != part] + (["TC"] if part == "ED" else [])
    assert found.notes == [f"there is no {', '.join(absent)}"]


def test_an_absent_part_is_noted_and_has_the_size_0() -> None:
    found = tumour_features({"NCR": ball(5), "ED": ball(8) & ~ball(5), "ET": np.zeros((50, 50, 50), bool)}, ONE_MM)
    assert found.notes == ["the brain is not known, so the tumour's place in it is missing", "there is no ET"]
    assert found.values["size_ET_of_WT"] == found.values["size_ET_rim_mm"] == found.values["size_ET_diameter_mm"] == 0
    assert found.values["size_NCR_of_TC"] == 1
    assert math.isnan(found.values["size_ET_sphericity"])


@pytest.mark.realdata
def test_of_real_masks_as_itk_measures_them(realdata: Path) -> None:
    from autobrats.dataset.volumes import read_mask, read_volume

    cases = cases_of_folders(realdata / "brats_full" / "BraTS2021").cases
    cases += cases_of_folders(realdata / "brats_full" / "BraTS2023").cases
    assert len(cases) == 4
    for case in cases:
        masks = tumour_parts(read_mask(case.mask), case.convention)
        values = tumour_features(masks, read_volume(case.mask).geometry.spacing_mm).values
        image = SimpleITK.Cast(SimpleITK.ReadImage(str(case.mask.path)), SimpleITK.sitkUInt8) > 0
        shape = SimpleITK.LabelShapeStatisticsImageFilter()
        shape.Execute(image)
        assert values["size_WT_ml"] == pytest.approx(shape.GetPhysicalSize(1) / 1000)
        # ITK estimates the surface by counting crossings of lines, without a mesh: smaller, as a ball's is.
        assert values["size_WT_surface_mm2"] == pytest.approx(1.08 * shape.GetPerimeter(1), rel=0.04)
        assert values["size_WT_sphericity"] == pytest.approx(shape.GetRoundness(1) / 1.08, rel=0.04)
        x, y, z = shape.GetBoundingBox(1)[3:]
        extents = [values[f"size_WT_{way}_mm"] for way in ("left_right", "front_back", "up_down")]
        assert extents == [x, y, z]
        assert max(x, y, z) <= values["size_WT_diameter_mm"] <= math.dist((0, 0, 0), (x, y, z))
