"""Components of masks, the smallest included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from autobrats.dataset.connected_components import connected_components


@pytest.mark.parametrize("connectivity, ring", [(6, 1), (18, 2), (26, 3)])
def test_as_scipy_counts_them(connectivity: int, ring: int) -> None:
    """Lines, planes and small boxes too, with every other voxel in the mask: cc3d alone raises there."""
    structure = ndimage.generate_binary_structure(3, ring)
    for shape in [
        *itertools.product((1, 2, 3), repeat=3),
        (5, 1, 1),
        (1, 7, 5),
        (31, 1, 41),
        (1, 7, 1),
        (1, 1, 9),
        (6, 7, 8),
    ]:
        every_other = np.indices(shape).sum(0) % 2 == 0
        apart = (np.indices(shape) % 2 == 0).all(axis=0)
        random = np.random.default_rng(0).random(shape) < 0.4
        random.flat[0] = True
        for mask in (every_other, apart, random, np.ones(shape, bool)):
            found, (expected, count) = connected_components(mask, connectivity), ndimage.label(mask, structure)
            assert found.shape == shape and found.max() == count and np.array_equal(found > 0, mask)
            assert len({*zip(found[mask].tolist(), expected[mask].tolist(), strict=True)}) == count
