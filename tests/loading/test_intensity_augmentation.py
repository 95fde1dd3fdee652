"""Changes of intensity against SciPy and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from autobrats.loading.intensity_augmentation import (
    augment_intensities,
    change_contrast,
    change_gamma,
    gaussian_blur,
    lower_resolution,
)
from autobrats.plan import Augmentation

OFF = {name: 0.0 for name in Augmentation.model_fields if name.endswith("_probability")}
ALL_ON = dict.fromkeys(OFF, 1.0)


def image(shape: tuple[int, ...] = (12, 14, 10), seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def augmented(images: torch.Tensor, seed: int = 0, **changes) -> torch.Tensor:
    return augment_intensities(images.clone(), Augmentation(**{**OFF, **changes}), np.random.default_rng(seed))


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.8, 1.0, 1.7])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    radius = max(1, int(np.ceil(3 * sigma)))
    expected = gaussian_filter(image().numpy().astype(np.float64), sigma, mode="nearest", radius=radius)
    np.testing.assert_allclose(gaussian_blur(image(), sigma), expected, atol=1e-5)


def test_gamma_keeps_mean_and_deviation_and_order() -> None:
    for gamma in (0.7, 1.5):
        changed = change_gamma(image(), gamma)
        assert changed.mean().item() == pytest.approx(image().mean().item(), abs=1e-5)
        assert changed.std().item() == pytest.approx(image().std().item(), rel=1e-5)
        order = image().flatten().argsort()
        assert (changed.flatten()[order].diff() >= 0).all() and not torch.allclose(changed, image(), atol=0.01)
    torch.testing.assert_close(change_gamma(image(), 1.0), image(), rtol=1e-4, atol=1e-5)


def test_gamma_of_a_flat_image_is_the_image() -> None:
    torch.testing.assert_close(change_gamma(torch.full((4, 4, 4), 3.0), 0.8), torch.full((4, 4, 4), 3.0))


def test_contrast_scales_distances_from_the_mean_within_the_range() -> None:
    flatter = change_contrast(image(), 0.75)
    torch.testing.assert_close(flatter - image().mean(), 0.75 * (image() - image().mean()), rtol=1e-4, atol=1e-6)
    steeper = change_contrast(image(), 1.25)
    assert steeper.min() == image().min() and steeper.max() == image().max() and steeper.std() > image().std()


def test_a_lower_resolution_loses_detail_and_keeps_what_is_flat() -> None:
    coarse = lower_resolution(image(), 0.5)
    assert coarse.shape == image().shape and coarse.std() < 0.8 * image().std()
    torch.testing.assert_close(lower_resolution(image(), 1.0), image())
    torch.testing.assert_close(lower_resolution(torch.full((5, 6, 7), 2.0), 0.6), torch.full((5, 6, 7), 2.0))


def test_brightness_and_shift() -> None:
    images = image((2, 6, 6, 6))
    brighter = augmented(images, brightness_probability=1.0, brightness_range=(1.2, 1.2))
    torch.testing.assert_close(brighter, 1.2 * images)
    shifted = augmented(images, shift_probability=1.0, shift_range=(0.1, 0.1))
    torch.testing.assert_close(shifted, images + 0.1)


def test_noise_has_the_deviation_that_was_drawn() -> None:
    images = image((2, 20, 20, 20))
    noise = augmented(images, noise_probability=1.0, noise_std=(0.25, 0.25)) - images
    assert noise.std().item() == pytest.approx(0.25, rel=0.02) and abs(noise.mean()) < 0.01
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("seed", range(4))
def test_background_stays_zero_and_all_is_finite(seed: int) -> None:
    images = image((3, 12, 12, 12), seed)
    images[:, :4] = 0
    images[1, 4:6] = 0  # zero in one modality only is no background
    changed = augmented(images, seed, **ALL_ON)
    assert changed.dtype == torch.float32 and torch.isfinite(changed).all()
    assert (changed[:, :4] == 0).all() and (changed[:, 6:] != 0).any()


def test_modalities_are_dropped_as_often_as_planned() -> None:
    dropped = np.zeros(5)
    for seed in range(1500):
        gone = (augmented(torch.ones(4, 2, 2, 2), seed, modality_dropout_probability=0.3) == 0).all(dim=(1, 2, 3))
        assert gone.sum() <= 1
        dropped += [*gone.numpy(), gone.any()]
    assert dropped[4] / 1500 == pytest.approx(0.3, abs=0.04)
    assert (np.abs(dropped[:4] / 1500 - 0.075) < 0.03).all()


def test_the_only_modality_is_never_dropped() -> None:
    assert (augmented(torch.ones(1, 2, 2, 2), modality_dropout_probability=1.0) == 1).all()
    images = torch.ones(3, 2, 2, 2)
    images[:2] = 0
    assert (augmented(images, modality_dropout_probability=1.0)[2] == 1).all()


def test_a_missing_modality_stays_missing() -> None:
    images = image((3, 8, 8, 8))
    images[1] = 0
    changed = augmented(images, **{**ALL_ON, "modality_dropout_probability": 0.0})
    assert (changed[1] == 0).all() and not torch.equal(changed[0], images[0])


def test_everything_off_changes_nothing() -> None:
    assert torch.equal(augmented(image((2, 5, 5, 5))), image((2, 5, 5, 5)))


def test_the_same_draw_gives_the_same_images() -> None:
    images = image((2, 8, 8, 8))
    assert torch.equal(augmented(images, 1, **ALL_ON), augmented(images, 1, **ALL_ON))
    assert not torch.equal(augmented(images, 1, **ALL_ON), augmented(images, 2, **ALL_ON))
    assert torch.equal(images, image((2, 8, 8, 8)))
