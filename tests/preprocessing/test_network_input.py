"""What a network is given of a stored study."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.loading.training_cases import _Input
from autobrats.preprocessing.network_input import network_input


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(0)
    images = random.normal(size=(3, 4, 5, 6)).astype(np.float32)
    images[:, :2] = 0
    return images


def test_channels_are_chosen_in_order(images: np.ndarray) -> None:
    assert np.array_equal(network_input(images, [2, 0], "as_stored"), images[[2, 0]])


def test_each_channel_fills_the_unit_range_inside_the_brain(images: np.ndarray) -> None:
    result = network_input(images, [0, 1], "unit_range")
    for image, original in zip(result, images[:2], strict=True):
        inside = original[2:]
        assert np.allclose(image[2:], (inside - inside.min()) / (inside.max() - inside.min()), atol=1e-6)
        assert not image[:2].any()


def test_a_missing_or_constant_modality_is_zero(images: np.ndarray) -> None:
    images[1] = 0
    images[2, 2:] = 3
    assert not network_input(images, [1, 2], "unit_range").any()


def test_slices_of_a_stored_study_are_those_of_the_whole(images: np.ndarray) -> None:
    lazy = _Input(images, [2, 0], "unit_range")
    where = (slice(None), slice(1, 4), slice(0, 3), slice(2, 6))
    assert lazy.shape == (2, 4, 5, 6)
    assert np.allclose(lazy[where], network_input(images, [2, 0], "unit_range")[where], atol=1e-6)
    assert np.allclose(lazy[1, 2:], network_input(images, [0], "unit_range")[0, 2:], atol=1e-6)
