"""The memory estimate grows with what is stored, and is close to what a step takes."""

from __future__ import annotations

import functools

import pytest
import torch

from autobrats import registry
from autobrats.networks.building import build_network
from autobrats.planning.memory import RUNTIME_GIB, estimate_training_memory_gib
from autobrats.planning.network_sizes import LADDER, network_part

LOSS = functools.partial(
    registry.build, "loss", "dice_cross_entropy", {}, output="regions", channel_weights=torch.ones(3)
)


def estimate(side: int = 32, batch: int = 2, device: str = "cpu", rung: int = 3) -> float:
    part = network_part(LADDER[rung], (side, side, side), (1, 1, 1))
    network = functools.partial(build_network, part.name, part.options, 4, 3)
    return estimate_training_memory_gib(network, LOSS, 4, 3, (side, side, side), batch, device, True)


def test_a_larger_batch_or_patch_takes_more() -> None:
    assert estimate() < estimate(batch=4) < estimate(batch=8)
    assert estimate() < estimate(side=48) < estimate(side=64)


def test_activations_are_proportional_to_the_batch() -> None:
    first, second, third = (estimate(side=64, batch=batch) for batch in (1, 2, 3))
    assert third - second == pytest.approx(second - first, rel=0.01)


def test_the_runtime_and_five_copies_of_the_weights_are_in_it() -> None:
    part = network_part(LADDER[0], (32, 32, 32), (1, 1, 1))
    weights = sum(p.numel() for p in build_network(part.name, part.options, 4, 3).parameters())
    assert estimate(batch=1, rung=0) > RUNTIME_GIB["cpu"] + 5 * 4 * weights / 1024**3


def test_half_precision_saves_on_a_gpu() -> None:
    on_cpu, on_gpu = (estimate(side=96, device=device) - RUNTIME_GIB[device] for device in ("cpu", "cuda"))
    assert 0.4 * on_cpu < on_gpu < 0.8 * on_cpu
