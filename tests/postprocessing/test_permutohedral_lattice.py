"""The permutohedral lattice against sums over all pairs of points."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.postprocessing import permutohedral_lattice
from autobrats.postprocessing.permutohedral_lattice import PermutohedralLattice


def exact(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """sum_j exp(-|f_i - f_j|^2 / 2) v_j in float64."""
    features = features.astype(np.float64)
    squared = ((features[:, None] - features[None]) ** 2).sum(-1)
    return np.exp(-squared / 2) @ values


def cloud(points: int, dimensions: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = spread * random.normal(size=(points, dimensions))
    return features.astype(np.float32), random.random((points, 2)).astype(np.float32)


@pytest.mark.parametrize(
    "dimensions, spread, tolerance", [(1, 3.0, 0.01), (2, 2.0, 0.03), (3, 1.5, 0.05), (4, 0.8, 0.08), (5, 0.7, 0.1)]
)
def test_dense_points_give_the_gaussian_sum_itself(dimensions: int, spread: float, tolerance: float) -> None:
    features, values = cloud(2000, dimensions, spread)
    ratio = PermutohedralLattice(features).filter(values) / exact(features, values)
    assert ratio.mean() == pytest.approx(1, abs=tolerance)
    assert ratio.std() < 1.5 * tolerance


def voxels(modalities: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and intensities of a small volume with two tissues and noise, and its tissues as values."""
    random = np.random.default_rng(3)
    positions = np.stack(np.meshgrid(np.arange(12), np.arange(13), np.arange(14), indexing="ij"), -1).reshape(-1, 3)
    bright = ((positions - (6, 6, 7)) ** 2).sum(1) < 25
    intensities = 2.0 * bright[:, None] + random.normal(0, 0.3, (len(positions), modalities))
    features = np.concatenate([positions / 4.0, intensities / 0.5], 1)
    return features.astype(np.float32), np.stack([bright, positions[:, 0] / 11.0], 1).astype(np.float32)


@pytest.mark.parametrize("modalities", [1, 2, 4])
def test_weighted_means_of_voxels_in_up_to_seven_dimensions(modalities: int) -> None:
    features, values = voxels(modalities)
    ones = np.ones((len(features), 1), np.float32)
    lattice = PermutohedralLattice(features)
    means = lattice.filter(values) / lattice.filter(ones)
    expected = exact(features, values) / exact(features, ones)
    assert np.sqrt(((means - expected) ** 2).mean()) < 0.03
    assert np.corrcoef(means[:, 1], expected[:, 1])[0, 1] > 0.98


def test_points_in_one_place_share_their_mean() -> None:
    values = np.random.default_rng(1).random((50, 3)).astype(np.float32)
    lattice = PermutohedralLattice(np.full((50, 6), 1.3, np.float32))
    means = lattice.filter(values) / lattice.filter(np.ones((50, 1), np.float32))
    np.testing.assert_allclose(means, np.broadcast_to(values.mean(0), means.shape), rtol=1e-5)


def test_points_far_apart_do_not_mix() -> None:
    features = 100 * np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), -1).reshape(-1, 4).astype(np.float32)
    values = np.random.default_rng(2).random((len(features), 2)).astype(np.float32)
    lattice = PermutohedralLattice(features)
    means = lattice.filter(values) / lattice.filter(np.ones((len(features), 1), np.float32))
    np.testing.assert_allclose(means, values, rtol=1e-5)


def test_placing_points_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, values = cloud(500, 5, 1.0)
    whole = PermutohedralLattice(features).filter(values)
    monkeypatch.setattr(permutohedral_lattice, "_CHUNK", 37)
    np.testing.assert_array_equal(PermutohedralLattice(features).filter(values), whole)


def test_what_cannot_be_numbered_is_refused() -> None:
    features = np.zeros((2, 7), np.float32)
    features[1] = 1e6
    with pytest.raises(ValueError, match="too many standard deviations"):
        PermutohedralLattice(features)
    features[1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        PermutohedralLattice(features)
