"""Distance maps are those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from autobrats.dataset.distances import distances_inside

UNEVEN = (3.0, 0.9, 1.1)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), UNEVEN])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_random_blobs(spacing_mm, share) -> None:
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(14, 18, 16)), 1.5)
    mask = smooth > np.quantile(smooth, 1 - share)
    np.testing.assert_allclose(
        distances_inside(mask, spacing_mm), distance_transform_edt(mask, sampling=spacing_mm), rtol=1e-6
    )


def test_the_border_counts_as_outside_if_it_is_said() -> None:
    mask = np.ones((3, 5, 5), bool)
    mask[1, 2, 0] = False
    assert distances_inside(mask, UNEVEN)[1, 2, 4] == pytest.approx(4.4)
    assert distances_inside(mask, UNEVEN, black_border=True)[1, 2, 4] == pytest.approx(1.1)


def test_parts_of_a_volume_are_taken() -> None:
    mask = np.random.default_rng(0).random((8, 9, 10)) < 0.8
    part = (slice(1, 7), slice(2, 8), slice(0, 10, 3))
    np.testing.assert_array_equal(
        distances_inside(mask[part], UNEVEN), distances_inside(np.ascontiguousarray(mask[part]), UNEVEN)
    )
