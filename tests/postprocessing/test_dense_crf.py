"""The CRF against the equations in float64, at its limits, and on noisy probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.context import PostprocessingContext
from autobrats.postprocessing.dense_crf import DenseCRF, mean_field

BRATS = KNOWN["brats2017"]
TISSUES = plain_labels({"outer": 1, "core": 2})
Spacing = tuple[float, float, float]


def study(modalities: int, shape: tuple[int, int, int] = (7, 8, 9)) -> tuple[np.ndarray, np.ndarray]:
    """Noisy probabilities of nested balls, each inside the one before, and noisy images in which the balls differ."""
    random = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    balls = np.sqrt(z**2 + y**2 + x**2) < np.array([0.95, 0.7, 0.45])[:, None, None, None]
    probabilities = np.clip(0.2 + 0.6 * balls + random.normal(0, 0.15, balls.shape), 0.02, 0.98)
    contrasts = np.array([[1.5, 0.0, -0.7], [0.0, -0.5, 2.0], [0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])[:modalities]
    images = np.tensordot(contrasts, balls, 1) + random.normal(0, 0.15, (modalities, *shape))
    return -np.sort(-probabilities, axis=0).astype(np.float32), images.astype(np.float32)


def by_the_equations(
    probabilities: np.ndarray, images: np.ndarray, spacing_mm: Spacing, options: dict[str, float]
) -> np.ndarray:
    """Algorithm 1 with all pairs of voxels, for WT, TC and ET."""
    wt, tc, et = probabilities.astype(np.float64).reshape(3, -1)
    before = np.stack([1 - wt, wt - tc, tc - et, et], 1)
    indices = np.indices(probabilities.shape[1:]).reshape(3, -1).T
    apart = (((indices[:, None] - indices[None]) * np.array(spacing_mm)) ** 2).sum(-1)
    colours = images.astype(np.float64).reshape(len(images), -1).T
    unlike = ((colours[:, None] - colours[None]) ** 2).sum(-1)
    alpha, beta, gamma = (options[name] for name in ("appearance_mm", "appearance_intensity", "smoothness_mm"))
    total = np.zeros_like(apart)
    for weight, kernel in (
        (options["appearance_weight"], np.exp(-apart / (2 * alpha**2) - unlike / (2 * beta**2))),
        (options["smoothness_weight"], np.exp(-apart / (2 * gamma**2))),
    ):
        total += weight * kernel / np.sqrt(np.outer(kernel.sum(1), kernel.sum(0)))
    np.fill_diagonal(total, 0)
    unary, compatibility = -np.log(np.maximum(before, 1e-6)), 1 - np.eye(4)
    q = np.exp(-unary)
    for _ in range(5):
        q = np.exp(-unary - total @ q @ compatibility)
        q /= q.sum(1, keepdims=True)
    return np.stack([q[:, 1:].sum(1), q[:, 2:].sum(1), q[:, 3]]).reshape(probabilities.shape)


OPTIONS = {"appearance_mm": 3.0, "appearance_intensity": 0.5, "smoothness_mm": 1.0}


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.3)])
def test_the_smoothness_kernel_follows_the_equations(spacing_mm: Spacing) -> None:
    probabilities, images = study(1)
    options = {**OPTIONS, "appearance_weight": 0.0, "smoothness_weight": 3.0}
    expected = by_the_equations(probabilities, images, spacing_mm, options)
    assert np.abs(expected - probabilities).max() > 0.3
    found = DenseCRF(**options)(probabilities, PostprocessingContext(BRATS, images, spacing_mm))
    np.testing.assert_allclose(found, expected, atol=1e-3)  # kernels end at four standard deviations


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.3)])
@pytest.mark.parametrize("modalities", [1, 2, 4])
@pytest.mark.parametrize("smoothness_weight", [0.0, 1.0])
def test_both_kernels_are_close_to_the_equations(
    modalities: int, smoothness_weight: float, spacing_mm: Spacing
) -> None:
    probabilities, images = study(modalities)
    options = {**OPTIONS, "appearance_weight": 2.0, "smoothness_weight": smoothness_weight}
    expected = by_the_equations(probabilities, images, spacing_mm, options)
    found = DenseCRF(**options)(probabilities, PostprocessingContext(BRATS, images, spacing_mm))
    change = np.sqrt(((expected - probabilities) ** 2).mean())
    error = np.sqrt(((found - expected) ** 2).mean())
    assert change > 0.1
    assert error < 0.01
    assert ((found > 0.5) == (expected > 0.5)).mean() > 0.99


def test_without_weights_nothing_changes() -> None:
    probabilities, images = study(2)
    context = PostprocessingContext(BRATS, images, (1.0, 1.0, 1.0))
    found = DenseCRF(appearance_weight=0, smoothness_weight=0)(probabilities, context)
    np.testing.assert_allclose(found, probabilities, atol=1e-5)


def test_with_very_small_thetas_no_voxel_has_a_neighbour() -> None:
    probabilities, images = study(2)
    context = PostprocessingContext(BRATS, images, (1.0, 1.0, 1.0))
    crf = DenseCRF(appearance_mm=0.02, appearance_intensity=0.02, smoothness_mm=0.02)
    np.testing.assert_allclose(crf(probabilities, context), probabilities, atol=1e-5)


def test_with_very_large_thetas_every_voxel_hears_the_mean_of_all_others() -> None:
    probabilities, images = study(2)
    crf = DenseCRF(2.0, 0.0, appearance_mm=1e5, appearance_intensity=1e5, margin_mm=100)
    found = crf(probabilities, PostprocessingContext(BRATS, images, (1.0, 1.0, 1.0)))
    wt, tc, et = probabilities.astype(np.float64).reshape(3, -1)
    before = np.stack([1 - wt, wt - tc, tc - et, et], 1)
    q = before
    for _ in range(5):
        q = before * np.exp(2.0 * (q.sum(0) - q) / len(q))
        q /= q.sum(1, keepdims=True)
    np.testing.assert_allclose(found[0].ravel(), 1 - q[:, 0], atol=2e-3)
    np.testing.assert_allclose(found[2].ravel(), q[:, 3], atol=2e-3)


def test_mean_field_of_two_voxels() -> None:
    def exchange(values: np.ndarray) -> np.ndarray:
        return 0.5 * values[::-1]

    before = np.array([[0.8, 0.2], [0.4, 0.6]], np.float32)
    found = mean_field(before, [(1.5, exchange)], iterations=1)
    message = 1.5 * (0.5 / 1.5) * before[::-1].astype(np.float64)
    expected = before * np.exp(message)
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-5)


def dice(mask: np.ndarray, reference: np.ndarray) -> float:
    return 2 * np.count_nonzero(mask & reference) / (np.count_nonzero(mask) + np.count_nonzero(reference))


@pytest.mark.parametrize("convention", [BRATS, TISSUES], ids=["nested", "plain labels"])
def test_noise_goes_and_edges_in_the_image_stay(convention: Convention) -> None:
    random = np.random.default_rng(4)
    z, y, x = np.indices((18, 22, 26))
    outer = (abs(z - 9) < 6) & (abs(y - 11) < 7) & (abs(x - 13) < 9)
    core = (abs(z - 9) < 3) & (abs(y - 11) < 4) & (abs(x - 13) < 5)
    labels = (outer.astype(np.uint8) + core) if convention is TISSUES else np.where(core, 4, 2 * outer).astype(np.uint8)
    truth = convention.to_regions(labels).astype(bool)
    mixed = random.permutation(labels.ravel()).reshape(labels.shape)
    noisy = convention.to_regions(np.where(random.random(labels.shape) < 0.15, mixed, labels))
    probabilities = np.where(noisy, 0.7, 0.1).astype(np.float32)
    images = np.stack([1.5 * outer, 2.0 * core]) + random.normal(0, 0.2, (2, *outer.shape))
    context = PostprocessingContext(convention, images.astype(np.float32), (1.0, 1.0, 1.0))
    kept = probabilities.copy()
    found = DenseCRF(appearance_weight=3, smoothness_weight=3)(probabilities, context)
    np.testing.assert_array_equal(probabilities, kept)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    before, after = (convention.to_regions(convention.decide(p)).astype(bool) for p in (probabilities, found))
    for place in range(len(truth)):
        assert dice(before[place], truth[place]) < 0.9
        assert 1 - dice(after[place], truth[place]) < 0.65 * (1 - dice(before[place], truth[place]))
    if convention is BRATS:
        assert (np.diff(found, axis=0) <= 1e-6).all()
    else:
        assert (found.sum(0) <= 1 + 1e-6).all()


def test_far_from_the_tumour_nothing_changes() -> None:
    probabilities = np.full((3, 12, 12, 40), 0.004, np.float32)
    probabilities[:, 4:8, 4:8, 2:6] = 0.9
    probabilities[:, 6, 6, 4] = 0.2
    images = np.zeros((1, 12, 12, 40), np.float32)
    images[:, 4:8, 4:8, 2:6] = 2
    found = DenseCRF(margin_mm=6)(probabilities, PostprocessingContext(BRATS, images, (1.0, 1.0, 2.0)))
    np.testing.assert_array_equal(found[..., 9:], probabilities[..., 9:])
    assert (found[..., 8] != probabilities[..., 8]).any()
    assert (found[:, 6, 6, 4] > 0.5).all()


def test_without_a_tumour_nothing_changes() -> None:
    probabilities = np.full((1, 5, 6, 7), 0.001, np.float32)
    images = np.zeros((2, 5, 6, 7), np.float32)
    context = PostprocessingContext(plain_labels({"lesion": 1}), images, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(DenseCRF()(probabilities, context), probabilities)


@pytest.mark.parametrize(
    "option, value",
    [
        ("appearance_weight", -1),
        ("smoothness_weight", float("nan")),
        ("margin_mm", -0.5),
        ("margin_mm", float("inf")),
        ("appearance_mm", 0),
        ("appearance_intensity", -2),
        ("smoothness_mm", 0),
        ("iterations", 0),
        ("iterations", 2.5),
    ],
)
def test_wrong_options_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option} .*{value}"):
        DenseCRF(**{option: value})
