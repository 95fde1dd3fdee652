"""Surface distances against hand-made answers and the field's reference implementations."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.background import bounding_slices
from autobrats.evaluation import surface
from autobrats.evaluation.surface import surface_distances

ANISOTROPIC = (3.0, 0.7, 1.3)


def blobs(seed: int, shape: tuple[int, int, int] = (14, 18, 22)) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random mask and a shifted, roughened copy."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    field = gaussian_filter(random.normal(size=shape), 2)
    reference = field > np.quantile(field, 0.8)
    prediction = np.roll(reference, 1, axis=int(random.integers(3))) ^ (random.random(shape) < 0.005)
    return prediction, reference


def masks(kind: str) -> tuple[np.ndarray, np.ndarray]:
    prediction, reference = np.zeros((2, 10, 12, 14), bool)
    if kind == "one voxel each":
        prediction[2, 3, 4] = reference[7, 9, 11] = True
    elif kind == "one voxel in a block":
        prediction[5, 5, 5] = True
        reference[2:8, 2:9, 2:10] = True
    elif kind == "full":
        prediction[:] = reference[:] = True
    elif kind == "full against one voxel":
        prediction[:] = True
        reference[0, 0, 0] = True
    elif kind == "touching the border":
        prediction[0:4, :6, 8:] = True
        reference[0:5, :5, 7:] = True
    return prediction, reference


KINDS = ["one voxel each", "one voxel in a block", "full", "full against one voxel", "touching the border"]


def assert_agrees_with_references(prediction: np.ndarray, reference: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    from medpy.metric import binary
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    distances = surface_distances(prediction, reference, ANISOTROPIC)
    tensors = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
    for percentile in (95, None):
        monai = compute_hausdorff_distance(
            *tensors, include_background=True, percentile=percentile, spacing=ANISOTROPIC
        )
        assert distances.hausdorff(percentile or 100) == pytest.approx(float(monai), rel=1e-5)
    for tolerance in (0.0, 0.7, 1.0, 1.3, 3.0, 6.0):  # some of them distances that occur
        monai = compute_surface_dice(*tensors, [tolerance], include_background=True, spacing=ANISOTROPIC)
        assert distances.surface_dice(tolerance) == pytest.approx(float(monai), abs=1e-6)
    assert distances.hausdorff() == pytest.approx(binary.hd(prediction, reference, ANISOTROPIC))
    pooled = binary.hd95(prediction, reference, ANISOTROPIC)
    assert distances.hausdorff(95, "pooled") == pytest.approx(pooled, rel=1e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("seed", range(3))
def test_random_masks_agree_with_monai_and_medpy(seed: int) -> None:
    assert_agrees_with_references(*blobs(seed))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_odd_masks_agree_with_monai_and_medpy(kind: str) -> None:
    assert_agrees_with_references(*masks(kind))


@pytest.mark.parametrize("kind", [*KINDS, "blobs"])
def test_both_ways_of_measuring_agree(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, reference = blobs(7) if kind == "blobs" else masks(kind)
    found = []
    for voxels_per_point in (0, 10**9):  # never enough points for maps, then always
        monkeypatch.setattr(surface, "_VOXELS_PER_POINT", voxels_per_point)
        found.append(surface_distances(prediction, reference, ANISOTROPIC))
    np.testing.assert_allclose(found[0].to_reference, found[1].to_reference, atol=1e-4)
    np.testing.assert_allclose(found[0].to_prediction, found[1].to_prediction, atol=1e-4)


def test_two_voxels_are_apart_by_the_spacing() -> None:
    prediction, reference = masks("one voxel each")
    expected = np.sqrt((5 * 3.0) ** 2 + (6 * 0.7) ** 2 + (7 * 1.3) ** 2)
    assert surface_distances(prediction, reference, ANISOTROPIC).hausdorff(95) == pytest.approx(expected)


def test_directed_and_pooled_differ_where_one_surface_is_small() -> None:
    """A stray voxel far away is the whole of one direction's tail, but a small part of the pooled distances."""
    reference = np.zeros((5, 5, 40), bool)
    reference[2, 2, :30] = True
    prediction = np.zeros_like(reference)
    prediction[2, 2, 0] = True
    distances = surface_distances(prediction, reference, (1.0, 1.0, 1.0))
    assert distances.hausdorff(95) == pytest.approx(np.percentile(np.arange(30), 95))
    assert distances.hausdorff(95, "pooled") == pytest.approx(np.percentile([0, *range(30)], 95))


def test_surface_dice_by_hand() -> None:
    """Rods of 6 and 9 voxels along x, of which 6 coincide: three voxels are 1.3, 2.6 and 3.9 mm away."""
    prediction, reference = np.zeros((2, 3, 3, 12), bool)
    prediction[1, 1, 2:8] = reference[1, 1, 2:11] = True
    distances = surface_distances(prediction, reference, ANISOTROPIC)
    shares = [distances.surface_dice(tolerance) for tolerance in (0, 1.29, 1.3, 2.6, 3.9)]
    assert shares == pytest.approx([12 / 15, 12 / 15, 13 / 15, 14 / 15, 1])
    with pytest.raises(ValueError, match="tolerance must not be negative: -1 mm"):
        distances.surface_dice(-1)


def test_the_distances_of_points_are_those_of_the_masks() -> None:
    prediction, reference = blobs(5)
    points = [surface.positions(surface.surface(mask), ANISOTROPIC) for mask in (prediction, reference)]
    found = surface.distances_of_points(*points)
    expected = surface_distances(prediction, reference, ANISOTROPIC)
    np.testing.assert_allclose(found.to_reference, expected.to_reference, rtol=1e-5)
    np.testing.assert_allclose(found.to_prediction, expected.to_prediction, rtol=1e-5)


def test_swapping_the_masks_swaps_the_directions() -> None:
    prediction, reference = blobs(3)
    one = surface_distances(prediction, reference, ANISOTROPIC)
    other = surface_distances(reference, prediction, ANISOTROPIC)
    np.testing.assert_allclose(one.to_reference, other.to_prediction)
    assert one.hausdorff(95) == other.hausdorff(95)


def test_an_empty_mask_has_no_surface() -> None:
    empty = np.zeros((4, 4, 4), bool)
    with pytest.raises(ValueError, match="empty"):
        surface_distances(empty, ~empty, (1, 1, 1))
    with pytest.raises(ValueError, match="empty"):
        surface_distances(empty, empty, (1, 1, 1))


def test_bounding_slices_are_tight() -> None:
    mask = np.zeros((6, 7, 8), bool)
    assert bounding_slices(mask) is None
    mask[1, 6, 3] = mask[4, 2, 5] = True
    assert bounding_slices(mask) == (slice(1, 5), slice(2, 7), slice(3, 6))
