"""Probabilities that come back slab by slab are those of the whole volume's matrices."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.preprocessing.resampling import interpolation_matrix, resampled_slabs

SHAPE = (7, 9, 8)


@pytest.mark.parametrize("shape", [SHAPE, (11, 9, 13), (3, 5, 17), (7, 20, 8), (1, 1, 1)])
@pytest.mark.parametrize("slab", [2, 16])
def test_slabs_are_the_matrix_products(shape, slab) -> None:
    volume = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    along_z, along_y, along_x = (interpolation_matrix(*sizes, 1) for sizes in zip(SHAPE, shape, strict=True))
    expected = np.einsum("az,by,cx,nzyx->nabc", along_z, along_y, along_x, volume, optimize=True)
    slices, parts = zip(*resampled_slabs(volume, shape, slab), strict=True)
    assert [part.start for part in slices] == list(range(0, shape[0], slab))
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-6)
