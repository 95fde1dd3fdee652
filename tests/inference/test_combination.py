"""Several predictions made into one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import gaussian_filter

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.inference.combination import Combination, Combiner

BRATS = KNOWN["brats2017"]
PLAIN = plain_labels({"anterior": 1, "posterior": 2})
SHAPE = (10, 12, 14)
ALL: tuple[Combination, ...] = ("mean", "majority", "staple")


def combined(how: Combination, predictions, weights=None, convention=BRATS) -> np.ndarray:
    combiner = Combiner(how, convention)
    for prediction, weight in zip(predictions, weights or [1.0] * len(predictions), strict=True):
        combiner.add(prediction, weight)
    return combiner.result()


def truth() -> np.ndarray:
    """Regions that lie in each other, (region, z, y, x)."""
    regions = np.zeros((3, *SHAPE), np.float32)
    regions[0, 2:8, 2:10, 2:12] = regions[1, 3:7, 3:8, 4:10] = regions[2, 4:6, 4:7, 5:9] = 1
    return regions


def rater(seed: int, noise: float = 2.0) -> np.ndarray:
    """Right but for noise, mostly at the borders."""
    random = np.random.default_rng(seed)
    smooth = np.stack([gaussian_filter(region, 0.8) for region in truth()])
    noisy = np.stack([gaussian_filter(random.normal(size=SHAPE), 0.8) for _ in range(3)])
    return (1 / (1 + np.exp(-12 * (smooth - 0.5) - noise * noisy / noisy.std()))).astype(np.float32)


def votes(prediction: np.ndarray) -> np.ndarray:
    return BRATS.to_regions(BRATS.decide(prediction))


def test_mean_and_weighted_mean() -> None:
    one, other = rater(0), rater(1)
    np.testing.assert_allclose(combined("mean", [one, other]), (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(combined("mean", [one, other], [3.0, 1.0]), (3 * one + other) / 4, atol=1e-6)
    np.testing.assert_allclose(combined("mean", [one, other], [0.75, 0.25]), (3 * one + other) / 4, atol=1e-6)
    np.testing.assert_allclose(combined("mean", [one]), one, atol=1e-7)


def test_majority_is_the_share_of_votes_and_a_tie_is_no() -> None:
    raters = [rater(seed) for seed in range(3)]
    share = np.mean([votes(of) for of in raters], axis=0)
    np.testing.assert_allclose(combined("majority", raters), share, atol=1e-6)
    tie = combined("majority", raters[:2])
    split = votes(raters[0]) != votes(raters[1])
    assert split.any() and (tie[split] == 0.5).all()
    assert not (tie > 0.5)[split].any()
    assert np.array_equal(combined("majority", raters[:2], [2.0, 1.0]) > 0.5, votes(raters[0]).astype(bool))


def test_labels_that_compete_for_a_vote_each() -> None:
    """Anterior, posterior and background, one vote each: nobody has a majority over the background."""
    one_each = [np.zeros((2, 1, 1, 1), np.float32) for _ in range(3)]
    one_each[0][0] = one_each[1][1] = 1
    result = combined("majority", one_each, convention=PLAIN)
    np.testing.assert_allclose(result.ravel(), [1 / 3, 1 / 3])
    assert PLAIN.decide(np.rint(result * 255).astype(np.uint8)).item() == 0


def test_staple_is_simpleitk_s() -> None:
    """Region by region, on the voxels with a vote."""
    raters = [rater(seed) for seed in range(4)]
    result = combined("staple", raters)
    for region in range(3):
        own = np.stack([votes(of)[region] for of in raters])
        voted = own.any(0)
        images = [SimpleITK.GetImageFromArray(vote[voted][None]) for vote in own]
        expected = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images)).ravel()
        np.testing.assert_allclose(result[region][voted], expected, atol=1e-6)
        assert (result[region][~voted] == 0).all()


def test_a_rater_that_is_always_wrong_is_outvoted() -> None:
    good = [rater(seed) for seed in range(3)]
    wrong = np.zeros_like(good[0])
    wrong[:, 8:, 10:, 12:] = 1
    for how in ("majority", "staple"):
        result = combined(how, [*good, wrong]) > 0.5
        alone = np.all([1 - votes(of) for of in good], axis=0) & (wrong > 0.5)
        assert alone.any() and not result[alone].any()
        agree = np.all([votes(of) for of in good], axis=0)
        assert result[agree].all()


@pytest.mark.parametrize("how", ALL)
def test_the_order_does_not_matter(how: Combination) -> None:
    raters = [rater(seed) for seed in range(3)]
    results = [combined(how, order) for order in itertools.permutations(raters)]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-5)


@pytest.mark.parametrize("how", ALL)
def test_results_are_probabilities_and_inputs_are_left_alone(how: Combination) -> None:
    raters = [rater(seed) for seed in range(3)]
    before = [of.copy() for of in raters]
    result = combined(how, raters)
    assert result.dtype == np.float32 and result.shape == (3, *SHAPE) and result.min() >= 0 and result.max() <= 1
    assert all(np.array_equal(*pair) for pair in zip(raters, before, strict=True))
    listed = combined(how, [of.reshape(3, -1) for of in raters])  # voxels side by side, as the ensemble search has them
    np.testing.assert_allclose(listed, result.reshape(3, -1), atol=1e-6)


def test_majority_regions_lie_in_each_other() -> None:
    wt, tc, et = combined("majority", [rater(seed, 4.0) for seed in range(5)])
    assert (wt >= tc).all() and (tc >= et).all()


@pytest.mark.parametrize("how", ALL)
def test_one_prediction_decides_alone_and_none_is_an_error(how: Combination) -> None:
    assert np.array_equal(votes(combined(how, [rater(0)])), votes(rater(0)))
    with pytest.raises(ValueError, match="no prediction"):
        Combiner(how, BRATS).result()


def test_staple_where_nobody_votes() -> None:
    assert not combined("staple", [np.zeros((3, *SHAPE), np.float32)] * 3).any()
