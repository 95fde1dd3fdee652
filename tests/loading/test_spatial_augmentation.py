"""Rotation, scaling and mirroring against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from autobrats.loading.spatial_augmentation import SpatialDraw, draw_spatial, transform_patch
from autobrats.plan import Augmentation, Size

SIZE = (16, 16, 16)
ONLY_ROTATION = Augmentation(rotation_probability=1, scaling_probability=0, rotation_degrees=30, mirror_axes=[])


def quarter_turn(fixed: int) -> np.ndarray:
    """A turn by 90 degrees about axis ``fixed``: the voxel at offset (i, j) is taken from (j, -i)."""
    i, j = (axis for axis in range(3) if axis != fixed)
    matrix = np.zeros((3, 3))
    matrix[fixed, fixed] = matrix[i, j] = 1
    matrix[j, i] = -1
    return matrix


def volume(size: Size, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, *size, generator=generator), torch.randint(0, 4, size, generator=generator, dtype=torch.uint8)


def middle(array: np.ndarray, size: Size) -> np.ndarray:
    starts = [(side - wanted) // 2 for side, wanted in zip(array.shape[-3:], size, strict=True)]
    return array[(..., *(slice(s, s + w) for s, w in zip(starts, size, strict=True)))]


def test_no_change_is_no_change() -> None:
    images, mask = volume(SIZE)
    draw = SpatialDraw(None, ())
    assert draw.source_size(SIZE) == SIZE
    same_images, same_mask = transform_patch(images, mask, draw, SIZE)
    assert torch.equal(same_images, images) and torch.equal(same_mask, mask)


@pytest.mark.parametrize("size", [SIZE, (7, 12, 9)])
def test_the_identity_matrix_leaves_the_patch(size: Size) -> None:
    draw = SpatialDraw(np.eye(3), ())
    images, mask = volume(draw.source_size(size))
    same_images, same_mask = transform_patch(images, mask, draw, size)
    np.testing.assert_allclose(same_images, middle(images.numpy(), size), atol=1e-4)
    np.testing.assert_array_equal(same_mask, middle(mask.numpy(), size))


@pytest.mark.parametrize("fixed", [0, 1, 2])
def test_a_quarter_turn_is_that_of_numpy(fixed: int) -> None:
    draw = SpatialDraw(quarter_turn(fixed), ())
    images, mask = volume(draw.source_size(SIZE))
    turned, turned_mask = transform_patch(images, mask, draw, SIZE)
    i, j = (axis for axis in range(3) if axis != fixed)
    np.testing.assert_allclose(turned, np.rot90(middle(images.numpy(), SIZE), 1, (i + 1, j + 1)), atol=1e-4)
    np.testing.assert_array_equal(turned_mask, np.rot90(middle(mask.numpy(), SIZE), 1, (i, j)))


def test_any_matrix_is_that_of_scipy() -> None:
    draw = draw_spatial(
        ONLY_ROTATION.model_copy(update={"scaling_probability": 1.0}), (3, 1, 1), np.random.default_rng(5)
    )
    assert draw.matrix is not None
    size = (9, 12, 14)
    source = draw.source_size(size)
    images, _ = volume(source)
    moved, _ = transform_patch(images, torch.zeros(source, dtype=torch.uint8), draw, size)
    centre_in, centre_out = (np.array(source) - 1) / 2, (np.array(size) - 1) / 2
    expected = affine_transform(
        images[0].numpy().astype(float), draw.matrix, centre_in - draw.matrix @ centre_out, size, order=1
    )
    np.testing.assert_allclose(moved[0].numpy(), expected, atol=1e-3)


def test_scaling_up_enlarges() -> None:
    plan = Augmentation(rotation_probability=0, scaling_probability=1, scaling_range=(1.5, 1.5), mirror_axes=[])
    draw = draw_spatial(plan, (1, 1, 1), np.random.default_rng(0))
    source = draw.source_size((24, 24, 24))
    assert max(source) < 24
    mask = torch.zeros(source, dtype=torch.uint8)
    inner = tuple(slice((side - 8) // 2, (side + 8) // 2) for side in source)
    mask[inner] = 1
    image, enlarged = transform_patch(mask[None].float(), mask, draw, (24, 24, 24))
    assert enlarged.sum() == 12**3
    assert (image > 0.5).sum() == pytest.approx(12**3, rel=0.1)


def test_coarse_slices_turn_in_millimetres() -> None:
    """A sphere in millimetres stays one, however it is turned."""
    spacing = (4.0, 1.0, 1.0)
    size = (12, 48, 48)
    for seed in range(5):
        plan = ONLY_ROTATION.model_copy(update={"rotation_degrees": 90.0})
        draw = draw_spatial(plan, spacing, np.random.default_rng(seed))
        source = draw.source_size(size)
        offsets = np.indices(source) - (np.array(source).reshape(3, 1, 1, 1) - 1) / 2
        radius_mm = np.sqrt(((offsets * np.array(spacing).reshape(3, 1, 1, 1)) ** 2).sum(0))
        images = torch.from_numpy(radius_mm).float()[None]
        turned, _ = transform_patch(images, torch.zeros(source, dtype=torch.uint8), draw, size)
        np.testing.assert_allclose(turned[0], middle(radius_mm, size), atol=1.6)


def test_a_turn_keeps_lengths_in_millimetres() -> None:
    spacing = np.array([5.0, 1.0, 0.5])
    draw = draw_spatial(ONLY_ROTATION, tuple(spacing), np.random.default_rng(1))
    in_mm = np.diag(spacing) @ draw.matrix @ np.diag(1 / spacing)
    np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(in_mm) == pytest.approx(1)
    assert not np.allclose(in_mm, np.eye(3), atol=1e-2)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2)])
@pytest.mark.parametrize("matrix", [None, np.eye(3)])
def test_mirroring(axes: tuple[int, ...], matrix: np.ndarray | None) -> None:
    draw = SpatialDraw(matrix, axes)
    images, mask = volume(draw.source_size(SIZE))
    flipped, flipped_mask = transform_patch(images, mask, draw, SIZE)
    expected = np.flip(middle(images.numpy(), SIZE), [axis + 1 for axis in axes])
    np.testing.assert_allclose(flipped, expected, atol=1e-4)
    np.testing.assert_array_equal(flipped_mask, np.flip(middle(mask.numpy(), SIZE), axes))


def test_the_source_covers_the_patch() -> None:
    """No voxel of a patch comes from outside its source, so padding never shows where the volume goes on."""
    plan = Augmentation(rotation_probability=1, scaling_probability=1, rotation_degrees=180)
    random = np.random.default_rng(2)
    for _ in range(20):
        size = tuple(int(side) for side in random.integers(5, 20, 3))
        draw = draw_spatial(plan, (2.0, 1.0, 1.0), random)
        source = draw.source_size(size)
        assert all((s - p) % 2 == 0 for s, p in zip(source, size, strict=True))
        ones, mask = torch.ones(1, *source), torch.ones(source, dtype=torch.uint8)
        images, mask = transform_patch(ones, mask, draw, size)
        assert images.shape == (1, *size) and mask.shape == size
        assert images.min() > 0.999 and mask.min() == 1


def test_probabilities_and_ranges_are_kept() -> None:
    plan = Augmentation(rotation_probability=0, scaling_probability=0.25, scaling_range=(0.8, 1.25), mirror_axes=[1])
    random = np.random.default_rng(3)
    draws = [draw_spatial(plan, (1, 1, 1), random) for _ in range(2000)]
    assert np.mean([draw.mirrored == (1,) for draw in draws]) == pytest.approx(0.5, abs=0.04)
    assert all(draw.mirrored in ((), (1,)) for draw in draws)
    scales = [1 / draw.matrix[0, 0] for draw in draws if draw.matrix is not None]
    assert len(scales) / len(draws) == pytest.approx(0.25, abs=0.04)
    assert 0.8 <= min(scales) < 0.82 and 1.23 < max(scales) <= 1.25


def test_turns_stay_within_their_degrees() -> None:
    random = np.random.default_rng(4)
    angles = []
    for _ in range(500):
        matrix = draw_spatial(ONLY_ROTATION, (1, 1, 1), random).matrix
        angles.append(math.degrees(math.acos(min(1.0, (np.trace(matrix) - 1) / 2))))
    assert 30 < max(angles) < math.sqrt(3) * 31 and np.mean(angles) > 15
