"""The network and its patches: they fit memory, time and volume."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import pytest
import torch

from autobrats import registry
from autobrats.networks.building import build_network, divisor_of
from autobrats.planning.memory import estimate_training_memory_gib
from autobrats.planning.network_search import LEAST_ITERATIONS, MEMORY_SHARE, Candidate, NetworkSearch
from autobrats.planning.network_sizes import LADDER, MIN_SIDE, network_part

BRAIN = (140, 170, 135)
HIPPOCAMPUS = (35, 50, 35)


def loss(channels: int = 3):
    weights = torch.ones(channels)
    return functools.partial(
        registry.build, "loss", "dice_cross_entropy", {}, output="regions", channel_weights=weights
    )


def search(
    volume=BRAIN, spacing=(1.0, 1.0, 1.0), cases=100, device="cpu", memory=16.0, budget=None, modalities=4, flops=5e10
) -> NetworkSearch:
    return NetworkSearch(
        volume=volume,
        spacing_mm=spacing,
        in_channels=modalities,
        out_channels=3,
        loss=loss(),
        cases=cases,
        device=torch.device("cpu"),
        device_type=device,
        memory_gib=memory,
        budget_s=budget,
        flop_per_s=flops,
    )


@functools.cache
def for_card(memory: float) -> Candidate:
    return search(device="cuda", memory=memory).find()


def build(candidate: Candidate, modalities: int = 4):
    return build_network(candidate.network.name, candidate.network.options, modalities, 3)


@pytest.mark.parametrize("size", LADDER, ids=lambda size: size.name)
@pytest.mark.parametrize(
    ("patch", "spacing"),
    [
        ((128, 128, 128), (1, 1, 1)),
        ((40, 48, 40), (1, 1, 1)),
        ((32, 32, 32), (1.21, 1.875, 1.875)),
        ((24, 160, 128), (5, 0.8, 0.8)),
        ((8, 8, 8), (1, 1, 1)),
        ((8, 64, 64), (6.5, 0.78, 0.78)),
        ((12, 20, 28), (1, 1, 1)),
    ],
)
def test_the_network_is_laid_over_the_patch(size, patch, spacing) -> None:
    part = network_part(size, patch, spacing)
    with torch.device("meta"):
        network = build_network(part.name, part.options, 4, 3)
        logits = network(torch.empty(1, 4, *patch)).logits
    assert logits.shape == (1, 3, *patch)
    for side, divisor in zip(patch, divisor_of(network), strict=True):
        assert side % divisor == 0 and side // divisor >= MIN_SIDE


def test_coarse_axes_are_halved_later() -> None:
    """After Isensee et al. (2021): 4 mm slices are halved only when the other axes have become as coarse."""
    strides = network_part(LADDER[0], (32, 256, 256), (4.0, 1.0, 1.0)).options["strides"]
    assert strides[:4] == [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]]


def test_channels_double_up_to_a_limit() -> None:
    assert network_part(LADDER[0], (128, 128, 128), (1, 1, 1)).options["channels"][:5] == [32, 64, 128, 256, 320]


@pytest.mark.parametrize("memory", [8.0, 12.0, 24.0])
def test_a_card_is_filled_but_not_overfilled(memory: float) -> None:
    chosen = for_card(memory)
    for entry in chosen.pool:
        estimate = estimate_training_memory_gib(
            functools.partial(build, chosen), loss(), 4, 3, entry.patch_size, entry.batch_size, "cuda", True
        )
        assert entry.memory_gib == pytest.approx(estimate, abs=0.01)
        assert estimate <= MEMORY_SHARE * memory
    assert chosen.pool[0].memory_gib > 0.4 * memory
    assert chosen.pool[0].batch_size >= 2
    assert all(side <= extent + 16 for side, extent in zip(chosen.pool[0].patch_size, BRAIN, strict=True))
    assert len(chosen.pool) == 1 or (
        math.prod(chosen.pool[1].patch_size) < math.prod(chosen.pool[0].patch_size)
        and chosen.pool[1].batch_size > chosen.pool[0].batch_size
    )


def test_a_larger_card_sees_more_at_once_and_large_volumes_get_a_second_entry() -> None:
    small, large = (for_card(memory) for memory in (8.0, 24.0))
    seen = [math.prod(c.pool[0].patch_size) * c.pool[0].batch_size for c in (small, large)]
    assert seen[0] < seen[1]
    assert LADDER.index(large.size) <= LADDER.index(small.size)
    assert len(large.pool) == 2


def test_a_tiny_card_gets_what_takes_least() -> None:
    chosen = search(volume=HIPPOCAMPUS, device="cuda", memory=0.5).find()
    assert chosen.size is LADDER[-1] and chosen.pool[0].batch_size == 1 and chosen.pool[0].memory_gib is None


@pytest.mark.parametrize(("volume", "modalities"), [((60, 70, 60), 4), (HIPPOCAMPUS, 1)])
def test_more_time_buys_a_larger_network(machine_of_flops, volume, modalities) -> None:
    machine_of_flops(1e11)
    chosen = [search(volume, budget=budget, modalities=modalities).find() for budget in (60, 3600, 100 * 3600)]
    rungs = [LADDER.index(candidate.size) for candidate in chosen]
    assert rungs == sorted(rungs, reverse=True) and rungs[0] == len(LADDER) - 1 and rungs[-1] < rungs[0]
    assert chosen[1].is_enough and chosen[2].is_enough
    for budget, candidate in zip((60, 3600, 360_000), chosen, strict=True):
        assert candidate.iterations == max(1, int(budget / candidate.step_s))


def test_a_small_budget_gets_a_smaller_patch_rather_than_no_steps(machine_of_flops) -> None:
    machine_of_flops(1e11)
    minutes = search(budget=120).find()
    assert minutes.size is LADDER[-1] and max(minutes.pool[0].patch_size) < minutes.size.patch_side
    assert minutes.iterations >= LEAST_ITERATIONS


def test_hopeless_candidates_are_not_measured(machine_of_flops) -> None:
    asked = machine_of_flops(1e9)
    chosen = search(budget=10, flops=1e9).find()
    assert not chosen.is_enough and chosen.pool[0].patch_size == (32, 32, 32)
    assert len(asked) == 1, "only what is left in the end"


def test_small_volumes_fit_into_one_patch(machine_of_flops) -> None:
    machine_of_flops(1e11)
    chosen = search(HIPPOCAMPUS, budget=600, modalities=1).find()
    assert all(0.75 * extent <= side <= extent + 8 for side, extent in zip(chosen.pool[0].patch_size, HIPPOCAMPUS))
    assert len(chosen.pool) == 1


def test_anisotropic_volumes_get_flat_patches(machine_of_flops) -> None:
    machine_of_flops(1e12)
    z, y, x = search((24, 256, 256), (5.0, 0.8, 0.8), budget=36_000).find().pool[0].patch_size
    assert z <= 24 and y == x > 2 * z


@pytest.mark.parametrize("cases", [1, 2])
def test_a_batch_is_not_larger_than_the_dataset(machine_of_flops: Callable, cases: int) -> None:
    machine_of_flops(1e11)
    chosen = search(HIPPOCAMPUS, cases=cases, budget=600, modalities=1).find()
    assert chosen.pool[0].batch_size == cases


def test_one_large_volume_gives_several_patches(machine_of_flops: Callable) -> None:
    machine_of_flops(1e11)
    assert search(cases=1, budget=600).find().pool[0].batch_size >= 2


def test_on_this_machine_the_speed_is_measured() -> None:
    chosen = search((16, 16, 16), budget=5, cases=2, modalities=1).find()
    assert 0 < chosen.step_s < 5 and chosen.iterations == max(1, int(5 / chosen.step_s))
