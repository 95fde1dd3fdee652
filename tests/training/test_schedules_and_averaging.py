"""Known values of the schedules and of the running average."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autobrats.training.averaging import AveragedNetwork
from autobrats.training.schedules import Cosine, ExploreExploit, Plateau, Polynomial, Schedule


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


def test_nguyen2020_equations_4_and_5() -> None:
    """200 epochs, 10 of them warm-up; t, T, e and N_e without those. Equation 5 holds at the first batch of each epoch."""
    batches, epochs, warm = 30, 200, 10
    cosine, polynomial = Cosine(warm_up=warm / epochs), Polynomial(warm_up=warm / epochs, exponent=0.9)
    steps = np.arange(warm * batches, epochs * batches)
    expected = (1 + np.cos((steps - warm * batches) * np.pi / ((epochs - warm) * batches))) / 2
    assert [cosine.factor(step / (epochs * batches)) for step in steps] == pytest.approx(expected)
    for epoch in range(warm, epochs):
        start, before_next = (polynomial.factor((epoch + part) / epochs) for part in (0, 1 - 1 / batches))
        assert start == pytest.approx((1 - (epoch - warm) / (epochs - warm)) ** 0.9)
        assert start > before_next > (1 - (epoch + 1 - warm) / (epochs - warm)) ** 0.9


@pytest.mark.parametrize(
    "schedule", [Polynomial(warm_up=0.1, exponent=0), Cosine(warm_up=0.1), ExploreExploit(warm_up=0.1)]
)
def test_a_warm_up_is_gradual(schedule: Schedule) -> None:
    """zhao2019, after Goyal et al. (2017): from a small rate by a constant amount an iteration to the peak rate."""
    total = 10_000
    factors = np.array([schedule.factor(step / total) for step in range(1001)])
    assert 0 < factors[0] <= 0.01 and factors[-1] == 1
    assert (np.diff(factors) >= 0).all()
    np.testing.assert_allclose(np.diff(factors[10:]), 1 / 1000, rtol=1e-6)


@pytest.mark.parametrize("kind", [Polynomial, Cosine, ExploreExploit])
def test_a_very_short_warm_up_does_not_exceed_the_peak_rate(kind: type) -> None:
    assert 0 < kind(warm_up=2e-4).factor(0) <= 1


def test_a_polynomial_of_exponent_0_keeps_the_peak_rate() -> None:
    schedule = Polynomial(warm_up=0.1, exponent=0)
    assert [schedule.factor(t) for t in (0.1, 0.5, 0.999, 1.0)] == [1, 1, 1, 1]


def test_explore_exploit_follows_its_formula() -> None:
    """min(1, t / t_warm_up, (t_max - t) / t_warm_down), the last towards the floor."""
    t = np.linspace(0.001, 1, 500)
    expected = np.minimum(1, np.minimum(t / 0.22, (1 - t) / 0.28))
    assert [ExploreExploit().factor(x) for x in t] == pytest.approx(expected)
    floored = ExploreExploit(warm_up=0.1, warm_down=0.5, floor=0.2)
    assert [floored.factor(x) for x in (0.05, 0.1, 0.3, 0.5, 0.75, 1, 1.1)] == pytest.approx(
        [0.5, 1, 1, 1, 0.6, 0.2, 0.2]
    )
    triangle = ExploreExploit(warm_up=0.5, warm_down=0.5)
    assert [triangle.factor(x) for x in (0.25, 0.5, 0.75)] == pytest.approx([0.5, 1, 0.5])


def test_explore_exploit_is_the_schedule_of_the_ranger21_library() -> None:
    """Within two of 10,000 iterations after the first ten (tweedy2021's peak rate of 3e-3, and their least of 3e-5)."""
    from pytorch_optimizer import Ranger21

    total = 10_000
    theirs = Ranger21(nn.Linear(1, 1).parameters(), num_iterations=total, lr=3e-3)
    ours = ExploreExploit(warm_up=theirs.num_warm_up_iterations / total, floor=0.01)
    for iteration in range(11, total + 1, 7):
        rate = theirs.warm_down(theirs.warm_up_dampening(3e-3, iteration), iteration)
        assert ours.factor((iteration - 1) / total) == pytest.approx(rate / 3e-3, abs=2 / 2000)


LOSSES = [1.0, 0.8, 0.8, 0.79995, 0.9, 0.7, 0.7, float("nan"), 0.7, 0.71, 0.6999, 0.72, 0.5, *[0.5] * 9]


@pytest.mark.parametrize("decay", [0.9, 0.1])
@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.01])
def test_plateau_agrees_with_torch(decay: float, patience: int, threshold: float) -> None:
    optimiser = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=decay, patience=patience, threshold=threshold, eps=0
    )
    schedule = Plateau(decay, patience, threshold)
    assert schedule.factor(0) == 1
    for epoch, loss in enumerate(LOSSES):
        torchs.step(loss)
        schedule.observe({"epoch": epoch, "validation_loss": loss})
        assert schedule.factor(epoch / len(LOSSES)) == pytest.approx(optimiser.param_groups[0]["lr"])
    assert schedule.factor(1) < 1


def test_plateau_lets_epochs_without_validation_pass_and_is_restored_by_replay() -> None:
    schedule, resumed = Plateau(patience=1), Plateau(patience=1)
    history: list[dict[str, Any]] = [
        {"validation_loss": 1.0},
        {"validation_loss": None},
        {},
        {"validation_loss": 1.0},
        {"epoch": 4},
    ]
    for record in history:
        schedule.observe(record)
    assert schedule.factor(0.5) == 1
    for record in history:
        resumed.observe(record)
    for each in (schedule, resumed):
        each.observe({"validation_loss": 1.0})
        assert each.factor(0.5) == 0.9


def test_plateau_sees_that_a_negative_loss_rises() -> None:
    """torch would take -0.5 after -0.50001 for an improvement."""
    schedule = Plateau(patience=0)
    for loss in (-0.4, -0.50001):
        schedule.observe({"validation_loss": loss})
        assert schedule.factor(0) == 1
    schedule.observe({"validation_loss": -0.5})
    assert schedule.factor(0) == 0.9


def test_plateau_after_a_first_loss_that_is_not_a_number() -> None:
    schedule = Plateau(patience=0)
    schedule.observe({"validation_loss": math.nan})
    assert schedule.factor(0) == 0.9
    schedule.observe({"validation_loss": 5.0})
    assert schedule.factor(0) == 0.9


@pytest.mark.parametrize("schedule", [Polynomial(warm_up=0.1), Cosine(), ExploreExploit()])
def test_the_other_schedules_go_by_progress_alone(schedule: Schedule) -> None:
    before = [schedule.factor(t) for t in (0, 0.05, 0.5, 0.9)]
    for loss in (1.0, 2.0, None):
        schedule.observe({"validation_loss": loss})
    assert [schedule.factor(t) for t in (0, 0.05, 0.5, 0.9)] == before


@pytest.mark.parametrize("kind", [Polynomial, Cosine, ExploreExploit])
@pytest.mark.parametrize("warm_up", [-0.1, 1.0])
def test_a_warm_up_outside_0_to_1_is_refused(kind: type, warm_up: float) -> None:
    with pytest.raises(ValueError, match=str(warm_up)):
        kind(warm_up=warm_up)


@pytest.mark.parametrize(
    "option", [{"warm_down": 0.0}, {"warm_down": 0.8}, {"warm_down": -0.3}, {"floor": -0.5}, {"floor": 1.5}]
)
def test_explore_exploit_refuses(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(option.values())))):
        ExploreExploit(**option)


@pytest.mark.parametrize(
    "option", [{"decay": 0.0}, {"decay": 1.0}, {"patience": -1}, {"threshold": -0.1}, {"threshold": 1.0}]
)
def test_plateau_refuses(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(option.values())))):
        Plateau(**option)


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
    assert torch.equal(average.network.get_buffer("running_mean"), network.get_buffer("running_mean"))
    assert average.network.get_buffer("num_batches_tracked") == 1
