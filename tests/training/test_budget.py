"""The number of steps follows the clock; the clock of these tests is made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from autobrats.training import budget as budget_module
from autobrats.training.budget import TimeBudget


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(budget_module, "time", SimpleNamespace(perf_counter=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def run(budget: TimeBudget, clock: Clock, step_s, total: int = 10, epoch: int = 20, done_s: float = 0.0):
    """The trainer's loop; ``step_s`` gives the seconds of step number i. Returns the trainer at its end."""
    begun = clock.now - done_s
    trainer = SimpleNamespace(iteration=0, total_iterations=total, elapsed_s=done_s)
    while trainer.iteration < trainer.total_iterations:
        clock.now += step_s(trainer.iteration)
        trainer.iteration += 1
        trainer.elapsed_s = clock.now - begun
        budget.after_step(trainer)
        if trainer.iteration % epoch == 0:
            budget.after_epoch(trainer)
    return trainer


def test_training_and_validation_together_take_the_budget(clock: Clock) -> None:
    trainer = run(TimeBudget(100.0, lambda step_s: 10 + 20 * step_s), clock, lambda i: 0.5)
    assert trainer.iteration == pytest.approx((100 - 10 - 10) / 0.5, abs=2)
    assert 79 < trainer.elapsed_s <= 80.5


def test_a_machine_that_slows_down_ends_in_time(clock: Clock) -> None:
    trainer = run(TimeBudget(100.0, lambda step_s: 10.0), clock, lambda i: 0.1 if i < 100 else 1.0)
    assert 88 < trainer.elapsed_s <= 91.1


def test_the_slow_first_step_is_not_taken_for_the_pace(clock: Clock) -> None:
    trainer = run(TimeBudget(100.0, lambda step_s: 0.0), clock, lambda i: 30.0 if i == 0 else 0.5)
    assert trainer.iteration == pytest.approx(141, abs=2)


def test_a_spent_budget_ends_after_a_step_or_two(clock: Clock) -> None:
    trainer = run(TimeBudget(1.0, lambda step_s: 10.0), clock, lambda i: 0.5, total=1000)
    assert trainer.iteration <= 2


def test_time_of_earlier_starts_counts(clock: Clock) -> None:
    trainer = run(TimeBudget(100.0, lambda step_s: 0.0), clock, lambda i: 0.5, done_s=60.0)
    assert trainer.iteration == pytest.approx(80, abs=2)


def test_epochs_that_were_asked_for_are_not_exceeded(clock: Clock) -> None:
    assert run(TimeBudget(1e6, lambda step_s: 0.0, most_iterations=30), clock, lambda i: 0.5, 30).iteration == 30
    assert run(TimeBudget(10.0, lambda step_s: 0.0, most_iterations=30), clock, lambda i: 0.5, 30).iteration <= 21
