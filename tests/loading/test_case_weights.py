"""Cases of a smaller weight are drawn less often, in an order that a seed and the position alone decide."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from loading.made_cases import BRATS, made_case

from autobrats.loading.batches import BatchLoader, ChannelTable
from autobrats.loading.foreground_sampler import ForegroundSampler
from autobrats.plan import PatchBatch


def drawn(weights: dict[str, float], first: int, count: int, seed: int = 3) -> list[str]:
    """The names of the cases of so many batches of one."""
    cases = [replace(made_case(name, (12, 12, 12), 1), weight=weight) for name, weight in weights.items()]
    loader = BatchLoader(
        cases,
        [PatchBatch(patch_size=(2, 2, 2), batch_size=1)],
        ForegroundSampler(),
        None,
        ChannelTable("regions", BRATS),
        (1.0, 1.0, 1.0),
        seed,
        torch.device("cpu"),
        threads=0,
    )
    batches = loader.batches(first)
    names = [batch.cases[0] for batch in itertools.islice(batches, count)]
    batches.close()
    return names


@pytest.mark.parametrize("alpha", [0.25, 0.1, 0.7])
def test_a_case_is_drawn_as_often_as_its_weight_says(alpha: float) -> None:
    weights = {**{f"labelled_{i}": 1.0 for i in range(4)}, **{f"unlabelled_{i}": alpha for i in range(6)}}
    passes = 200
    counts = Counter(drawn(weights, 0, round(passes * sum(weights.values()))))
    for name, weight in weights.items():
        assert counts[name] == pytest.approx(passes * weight, abs=2), name


def test_the_light_cases_are_spread_evenly() -> None:
    """Between two draws of one lie 9 to 11 passes over the labelled cases: of weight 0.1, it comes in every tenth."""
    weights = {"a": 1.0, "b": 1.0, **{f"light_{i}": 0.1 for i in range(5)}}
    names = drawn(weights, 0, 1000)
    for light in list(weights)[2:]:
        positions = [index for index, name in enumerate(names) if name == light]
        between = [names[one:other].count("a") for one, other in itertools.pairwise(positions)]
        assert len(between) > 30 and 8 <= min(between) <= max(between) <= 12
    # In any 25 draws, 10 passes, all five come once, give or take what lies across the ends.
    assert all(3 <= sum("light" in name for name in names[at : at + 25]) <= 7 for at in range(0, 950, 25))


def test_a_draw_depends_on_its_position_alone() -> None:
    weights = {"a": 1.0, "b": 0.3, "c": 0.3, "d": 0.05}
    whole = drawn(weights, 0, 120)
    assert drawn(weights, 77, 20) == whole[77:97]
    assert drawn(weights, 0, 120, seed=4) != whole


def test_without_light_cases_a_pass_is_a_permutation() -> None:
    """As it was before cases had weights, so that trainings begun then go on unchanged."""
    weights = {f"case_{i}": 1.0 for i in range(5)}
    expected = [f"case_{i}" for turn in range(4) for i in np.random.default_rng([3, 2, turn]).permutation(5)]
    assert drawn(weights, 0, 20) == expected


def test_weights_that_are_all_small_are_relative() -> None:
    counts = Counter(drawn({"a": 0.02, "b": 0.01}, 0, 90))
    assert counts["a"] == pytest.approx(60, abs=2)
