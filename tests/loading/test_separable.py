"""Maps along the axes against torch's own interpolation and sampling, on one axis of which nothing changes as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from autobrats.loading.intensity_augmentation import lower_resolution
from autobrats.loading.spatial_augmentation import SpatialDraw, _grid, transform_patch

SIZE = (13, 16, 10)


def volume(size: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("zoom", [0.5, 0.61, 0.97, 1.0])
def test_a_lower_resolution_is_that_of_interpolate(zoom: float) -> None:
    image = volume((12, 15, 9))[None, None]
    size = [max(1, round(side * zoom)) for side in image.shape[2:]]
    small = functional.interpolate(image, size=size, mode="nearest-exact")
    expected = functional.interpolate(small, size=image.shape[2:], mode="trilinear")[0, 0]
    torch.testing.assert_close(lower_resolution(image[0, 0], zoom), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mirrored", [(), (0, 2)])
@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([0.8, 0.8, 0.8]),
        np.diag([1.27, 1.27, 1.27]),
        np.array([[0.9, 0.3, 0], [-0.3, 0.9, 0.1], [0, -0.1, 1.0]]),
    ],
)
def test_scaling_and_rotation_are_those_of_grid_sample(matrix: np.ndarray, mirrored: tuple[int, ...]) -> None:
    draw = SpatialDraw(matrix, mirrored)
    source = draw.source_size(SIZE)
    images = volume((3, *source))
    mask = torch.randint(0, 4, source, generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    grid = _grid(matrix, SIZE, torch.Size(source), images.device)
    expected = functional.grid_sample(images[None], grid, align_corners=False)[0].flip([axis + 1 for axis in mirrored])
    nearest = functional.grid_sample(mask[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0]
    moved, moved_mask = transform_patch(images, mask, draw, SIZE)
    torch.testing.assert_close(moved, expected, rtol=0, atol=2e-5)
    assert (moved_mask == nearest.flip(mirrored)).float().mean() > 0.999
    torch.testing.assert_close(transform_patch(images.half(), mask, draw, SIZE)[0], moved, rtol=0, atol=5e-3)
