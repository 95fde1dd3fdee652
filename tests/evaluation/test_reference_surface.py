"""A prepared reference gives the scores of score_region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from autobrats.dataset.cases import ImageFile
from autobrats.dataset.known_conventions import KNOWN
from autobrats.dataset.volumes import read_mask, read_volume
from autobrats.evaluation.cases import score_region
from autobrats.evaluation.reference_surface import ReferenceRegion

SHAPE = (14, 18, 16)
UNEVEN = (3.0, 0.9, 1.1)


def blob(seed: int, share: float, sigma: float = 1.5) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), sigma)
    return smooth > np.quantile(smooth, 1 - share)


def one_voxel(z: int, y: int, x: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return mask


def assert_same(prediction: np.ndarray, reference: ReferenceRegion) -> None:
    expected = score_region(prediction, reference.mask, reference.spacing_mm)
    dice, hd95 = reference.score(prediction)
    assert dice == pytest.approx(expected["dice"], abs=1e-12)
    assert hd95 == pytest.approx(expected["hd95"], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), UNEVEN])
@pytest.mark.parametrize("seed", range(4))
def test_random_blobs(spacing_mm, seed) -> None:
    """One reference, many predictions: sparse and dense ones, near and far, that touch the border."""
    reference = ReferenceRegion(blob(seed, 0.1), spacing_mm)
    for other, (share, sigma) in enumerate([(0.1, 1.5), (0.01, 1.5), (0.5, 1.5), (0.03, 0.0), (0.95, 1.0)]):
        assert_same(blob(100 + 10 * seed + other, share, sigma), reference)
    assert_same(binary_dilation(reference.mask), reference)
    assert_same(binary_erosion(reference.mask), reference)
    assert_same(reference.mask, reference)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), UNEVEN])
def test_odd_cases(spacing_mm) -> None:
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    slab = empty.copy()
    slab[0] = True
    masks = [empty, full, slab, one_voxel(0, 0, 0), one_voxel(13, 17, 15), one_voxel(7, 8, 9), blob(0, 0.1)]
    for referred in masks:
        reference = ReferenceRegion(referred, spacing_mm)
        for predicted in masks:
            assert_same(predicted, reference)


def test_absent_regions_are_scored_as_brats_does() -> None:
    present, absent = ReferenceRegion(blob(0, 0.1), UNEVEN), ReferenceRegion(np.zeros(SHAPE, bool), UNEVEN)
    assert absent.score(absent.mask) == (1.0, 0.0)
    for dice, hd95 in (absent.score(present.mask), present.score(absent.mask)):
        assert dice == 0.0 and hd95 == pytest.approx(373.128664)


def test_distance_of_two_voxels() -> None:
    reference = ReferenceRegion(one_voxel(1, 2, 3), UNEVEN)
    assert reference.score(one_voxel(3, 2, 3)) == pytest.approx((0.0, 6.0))
    assert reference.score(one_voxel(1, 2, 9))[1] == pytest.approx(6.6)


@pytest.mark.realdata
def test_real_pairs(realdata: Path) -> None:
    for file in sorted((realdata / "real_predictions").glob("*_prediction.nii.gz"))[5:8]:
        referred = file.with_name(file.name.replace("_prediction", "_reference"))
        geometry = read_volume(ImageFile(path=referred)).geometry
        prediction, reference = (
            KNOWN["brats2017"].to_regions(read_mask(ImageFile(path=path), geometry)).astype(bool)
            for path in (file, referred)
        )
        for predicted, own in zip(prediction, reference, strict=True):
            assert_same(predicted, ReferenceRegion(own, geometry.spacing_mm))
