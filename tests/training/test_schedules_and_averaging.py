"""Known values of the schedules and of the running average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autobrats.training.averaging import AveragedNetwork
from autobrats.training.schedules import Cosine, Polynomial


def test_polynomial() -> None:
    schedule = Polynomial()
    assert [schedule.factor(t) for t in (0, 0.5, 1, 1.1)] == pytest.approx([1, 0.5**0.9, 0, 0])
    warm = Polynomial(warm_up=0.2, exponent=2)
    assert [warm.factor(t) for t in (0.1, 0.2, 0.6, 1)] == pytest.approx([0.5, 1, 0.25, 0])
    assert 0 < warm.factor(0) < 0.01


def test_cosine() -> None:
    assert [Cosine().factor(t) for t in (0, 0.25, 0.5, 1, 2)] == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, 0, 0])
    warm = Cosine(warm_up=0.5)
    assert [warm.factor(t) for t in (0.25, 0.5, 0.75, 1)] == pytest.approx([0.5, 1, 0.5, 0])


@pytest.mark.parametrize("kind", [Polynomial, Cosine])
@pytest.mark.parametrize("warm_up", [-0.1, 1.0])
def test_a_warm_up_outside_0_to_1_is_refused(kind: type, warm_up: float) -> None:
    with pytest.raises(ValueError, match=str(warm_up)):
        kind(warm_up=warm_up)


def test_the_average_follows_its_formula() -> None:
    network = nn.Linear(2, 1)
    average = AveragedNetwork(network, decay=0.6)
    expected = network.weight.detach().double().clone()
    for iteration in range(1, 9):
        with torch.no_grad():
            network.weight += iteration
        average.update(iteration)
        decay = min(0.6, (1 + iteration) / (10 + iteration))
        expected = decay * expected + (1 - decay) * network.weight.detach().double()
    torch.testing.assert_close(average.network.weight.double(), expected)
    assert not average.network.weight.requires_grad and network.weight.requires_grad


def test_without_decay_the_network_itself_is_kept() -> None:
    network = nn.Linear(2, 1)
    average = AveragedNetwork(network, None)
    average.update(1)
    assert average.network is network and network.weight.requires_grad


def test_buffers_are_copied() -> None:
    network = nn.BatchNorm1d(2)
    average = AveragedNetwork(network, 0.9)
    network(torch.randn(8, 2))
    average.update(1)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 1
