"""What a search maximises."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.tuning.objective import OBJECTIVES, new_objective


def random_scores(cases: int = 30, regions: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([random.uniform(0.3, 0.95, (cases, regions)), random.exponential(8, (cases, regions))], axis=-1)


def test_the_default_has_a_mean_of_a_half_for_ranks() -> None:
    scores = random_scores()
    assert new_objective("ranks", scores)(scores).mean() == pytest.approx(0.5)
    scores[:10] = scores[10:20]  # ties
    assert new_objective("ranks", scores)(scores).mean() == pytest.approx(0.5)


def test_better_is_higher_in_every_objective() -> None:
    default = random_scores()
    dice_up, hd95_down, hd95_up = default.copy(), default.copy(), default.copy()
    dice_up[..., 0] += 0.02
    hd95_down[..., 1] *= 0.8
    hd95_up[..., 1] *= 1.2
    for name in OBJECTIVES:
        objective = new_objective(name, default)
        own = objective(default).mean()
        assert objective(dice_up).mean() > own or name == "hd95"
        assert objective(hd95_down).mean() > own or name == "dice"
        assert objective(hd95_up).mean() < own or name == "dice"


def test_ranks_by_hand() -> None:
    """Two cases, one region: Dice 0.5 and 0.8, HD95 10 and 2 mm."""
    default = np.array([[[0.5, 10.0]], [[0.8, 2.0]]])
    objective = new_objective("ranks", default)
    # Dice 0.6 beats one of two; HD95 10 ties with the worst: a half of one of two.
    assert objective(np.array([[[0.6, 10.0]]])) == pytest.approx([(1 / 2 + 1 / 4) / 2])
    assert objective(np.array([[[0.9, 1.0]]])) == pytest.approx([1.0])
    assert objective(np.array([[[0.1, 373.13]]])) == pytest.approx([0.0])
    assert objective(np.array([[[0.8, 2.0]]])) == pytest.approx([3 / 4])


def test_an_outlier_counts_no_more_than_any_other_case() -> None:
    default = random_scores()
    objective = new_objective("ranks", default)
    far, farther = default.copy(), default.copy()
    far[0, 0, 1], farther[0, 0, 1] = 200.0, 373.13
    assert objective(far).mean() == objective(farther).mean()


def test_the_plain_objectives_are_means_over_regions() -> None:
    scores = random_scores(4)
    assert new_objective("dice", scores)(scores) == pytest.approx(scores[..., 0].mean(1))
    assert new_objective("hd95", scores)(scores) == pytest.approx(-scores[..., 1].mean(1))
