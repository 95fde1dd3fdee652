"""Preprocessing: what a network sees, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from autobrats.evaluation.probability_file import to_volume
from autobrats.plan import Normalisation, Preprocessing
from autobrats.preprocessing.background import foreground
from autobrats.preprocessing.resampling import (
    interpolation_matrix,
    resample_image,
    resample_labels,
    resampled_shape,
)
from autobrats.preprocessing.transform import preprocess, preprocess_mask, to_study_box


def _plan(spacing=(1.0, 1.0, 1.0), crop=True, **normalisation):
    return Preprocessing(
        crop_to_brain=crop,
        spacing_mm=spacing,
        normalisation={name: Normalisation(method=method) for name, method in normalisation.items()},
    )


def _brain(background=0.0):
    random = np.random.default_rng(1)
    images = np.full((2, 20, 24, 28), background, np.float32)
    images[:, 4:15, 6:20, 5:22] = random.normal(300, 50, (2, 11, 14, 17)).astype(np.float32)
    images[1, 4:6] = background
    return images


@pytest.mark.parametrize("background", [0.0, -3.62])
def test_crops_to_the_voxels_that_differ_from_the_background(background):
    prepared = preprocess(_brain(background), [True, True], (1, 1, 1), _plan(), ["t1c", "t2f"])
    assert prepared.placement.box == ((4, 15), (6, 20), (5, 22))
    assert prepared.placement.shape == prepared.images.shape[1:] == (11, 14, 17)
    assert prepared.images[0].mean() == pytest.approx(0, abs=1e-4)
    assert prepared.images[0].std() == pytest.approx(1, abs=1e-4)
    assert not prepared.images[1, :2].any(), "the second modality has a smaller brain, and its background stays 0"
    assert prepared.images[1, 2:].std() == pytest.approx(1, abs=1e-4)


def test_a_study_without_background_is_normalised_whole():
    random = np.random.default_rng(0)
    image = random.integers(0, 200, (1, 12, 12, 12)).astype(np.float32)
    assert foreground(image, [True]) is None
    prepared = preprocess(image, [True], (1, 1, 1), _plan(), ["MRI"])
    assert prepared.placement.box == ((0, 12),) * 3
    assert prepared.images.mean() == pytest.approx(0, abs=1e-5)


def test_a_missing_modality_stays_zero_and_does_not_hide_the_background():
    images = _brain()
    images[1] = 0
    prepared = preprocess(images, [True, False], (1, 1, 1), _plan(), ["t1c", "t2f"])
    assert prepared.placement.box == ((4, 15), (6, 20), (5, 22))
    assert not prepared.images[1].any()
    assert prepared.present == [True, False]


def test_minmax_and_clipping():
    images = _brain()[:1]
    images[0, 5, 7, 6] = 1e6
    prepared = preprocess(images, [True], (1, 1, 1), _plan(t1c="minmax"), ["t1c"])
    assert (prepared.images.min(), prepared.images.max()) == (0, 1)
    plan = Preprocessing(
        crop_to_brain=True,
        spacing_mm=(1, 1, 1),
        normalisation={"t1c": Normalisation(method="none", clip_percentiles=(1, 99))},
    )
    assert preprocess(images, [True], (1, 1, 1), plan, ["t1c"]).images.max() < 1000


def test_a_constant_modality_becomes_zero():
    images = np.zeros((1, 8, 8, 8), np.float32)
    images[0, 2:6, 2:6, 2:6] = 7
    assert not preprocess(images, [True], (1, 1, 1), _plan(), ["t1c"]).images.any()
    assert not preprocess(np.zeros_like(images), [True], (1, 1, 1), _plan(), ["t1c"]).images.any()


def test_equal_spacings_are_not_resampled():
    assert resampled_shape((155, 240, 240), (1.0, 1.0, 1.0), (1.009, 0.995, 1.0)) == (155, 240, 240)
    assert resampled_shape((10, 240, 1), (6.5, 0.78, 1.0), (1.0, 1.0, 5.0)) == (65, 187, 1)


def test_splines_equal_scipy_on_the_volume():
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(20, 24, 18)), 1.5).astype(np.float32)
    expected = ndimage.zoom(image, (30 / 20, 30 / 24, 20 / 18), order=3, mode="nearest", grid_mode=True)
    assert np.abs(resample_image(image, (30, 30, 20), (1.5, 1.25, 1.1)) - expected).max() < 1e-5 * image.std() * 100


@pytest.mark.parametrize("sizes", [(1, 4), (5, 1), (240, 200), (100, 155)])
@pytest.mark.parametrize("order", [1, 3])
def test_interpolation_keeps_constants(sizes, order):
    assert interpolation_matrix(*sizes, order).sum(1) == pytest.approx(1, abs=1e-5)


def test_a_strongly_anisotropic_axis_does_not_overshoot():
    image = np.zeros((6, 16, 16), np.float32)
    image[3:] = 1
    across_slices = resample_image(image, (36, 16, 16), (6.0, 1.0, 1.0))
    assert across_slices.min() >= -1e-6 and across_slices.max() <= 1 + 1e-6
    assert resample_image(image, (36, 16, 16), (1.0, 1.0, 1.0)).max() > 1.01


def test_small_labels_survive_resampling():
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[6:24, 6:24, 6:24] = 2
    labels[15, 15, 15] = 4
    small = resample_labels(labels, (10, 10, 10))
    assert set(np.unique(small)) == {0, 2, 4}
    assert small[5, 5, 5] == 4
    assert (small == 2).sum() * 27 == pytest.approx((labels == 2).sum(), rel=0.05)


def test_probabilities_come_back_to_where_the_mask_was():
    images = _brain()
    mask = np.zeros(images.shape[1:], np.uint8)
    mask[7:12, 9:16, 8:18] = 1
    for spacing in [(1.0, 1.0, 1.0), (0.8, 0.7, 0.9)]:
        prepared = preprocess(images, [True, True], (1, 1, 1), _plan(spacing), ["t1c", "t2f"])
        target = preprocess_mask(mask, prepared.placement)
        assert target.shape == prepared.placement.shape
        inside = to_study_box(np.stack([target, 1 - target]).astype(np.float32), prepared.placement)
        back = to_volume(inside, prepared.placement.box, prepared.placement.study_shape)
        assert back.dtype == np.uint8 and back.shape == (2, 20, 24, 28)
        overlap = 2 * ((back[0] > 127) & (mask == 1)).sum() / ((back[0] > 127).sum() + mask.sum())
        assert overlap > (0.999 if spacing == (1.0, 1.0, 1.0) else 0.95)
        assert not back[1, :4].any(), "outside the box nothing is predicted"
        assert np.array_equal(inside, back[(slice(None), *prepared.placement.slices)])


def test_slabs_do_not_change_the_result():
    random = np.random.default_rng(0)
    prepared = preprocess(
        random.normal(size=(1, 50, 12, 10)).astype(np.float32), [True], (1, 1, 1), _plan((1.6, 1, 0.9)), ["t1c"]
    )
    probabilities = random.random((3, *prepared.placement.shape), np.float32)
    whole = [resample_linear(channel, prepared.placement.box_shape) for channel in probabilities]
    assert np.abs(to_study_box(probabilities, prepared.placement) - np.stack(whole) * 255).max() <= 0.51


def test_the_given_probabilities_stay_as_they_are():
    for spacing in [(1.0, 1.0, 1.0), (0.8, 0.7, 0.9)]:
        placement = preprocess(_brain(), [True, True], (1, 1, 1), _plan(spacing), ["t1c", "t2f"]).placement
        probabilities = np.full((1, *placement.shape), 0.6, np.float32)
        assert (to_study_box(probabilities, placement) == 153).all()
        assert (probabilities == np.float32(0.6)).all()


def resample_linear(volume, shape):
    for axis, size in enumerate(shape):
        matrix = interpolation_matrix(volume.shape[axis], size, 1)
        volume = np.moveaxis(np.tensordot(matrix, volume, (1, axis)), 0, axis)
    return volume
