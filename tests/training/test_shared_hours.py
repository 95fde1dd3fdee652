"""How a budget is shared out over folds."""

from __future__ import annotations

import pytest

from autobrats.training.shared_hours import SharedHours, even_share


def simulate(folds: int, devices: int, hours: float, used: float = 1.0) -> tuple[list[float], float]:
    """The hours that each fold is given, and when the last ends, if each uses this share of its own."""
    given: list[float] = []
    free = [0.0] * devices
    for _ in range(folds):
        now = min(free)
        free.remove(now)
        running = sum(end > now + 1e-9 for end in free)
        given.append(even_share(hours - now, folds - len(given) + running, devices))
        free.append(now + used * given[-1])
    return given, max(free)


def test_one_after_the_other() -> None:
    given, end = simulate(5, 1, 10.0)
    assert given == pytest.approx([2.0] * 5) and end == pytest.approx(10.0)


def test_what_a_fold_leaves_over_goes_to_the_next() -> None:
    given, end = simulate(3, 1, 9.0, used=0.5)
    assert given == pytest.approx([3.0, 3.75, 5.625]) and end < 9.0


@pytest.mark.parametrize(
    ("folds", "devices", "each"), [(4, 2, 5.0), (5, 5, 10.0), (5, 2, 10 / 3), (5, 3, 5.0), (2, 8, 10.0)]
)
def test_several_at_once_have_as_many_times_the_hours(folds: int, devices: int, each: float) -> None:
    given, end = simulate(folds, devices, 10.0)
    assert given == pytest.approx([each] * folds) and end <= 10.0 + 1e-9


def test_the_clock_runs() -> None:
    hours = SharedHours(6.0)
    assert hours.left == pytest.approx(6.0, abs=0.01) and hours.for_next(3) == pytest.approx(2.0, abs=0.01)
    assert SharedHours(None).left is None and SharedHours(None).for_next(3) is None
