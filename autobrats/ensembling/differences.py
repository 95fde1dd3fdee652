"""How far one set of scores is ahead of another, case by case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.summary import bootstrap_interval


@dataclass(frozen=True)
class Difference:
    """The mean of one minus other over the same cases (mean Dice over regions), with a 95 % interval by patient."""

    other: str
    mean: float
    low: float | None
    high: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies above zero."""
        return self.low is not None and self.low > 0


def difference(one: Metrics, other: Metrics) -> Difference:
    """Paired over the common cases; without any, the difference of the means."""
    pairs = [
        (case.mean_dice - other.cases[name].mean_dice, case.patient)  # type: ignore[operator]
        for name, case in one.cases.items()
        if name in other.cases and case.mean_dice is not None and other.cases[name].mean_dice is not None
    ]
    if not pairs:
        return Difference(other.configuration, (one.mean_dice.mean or 0.0) - (other.mean_dice.mean or 0.0), None, None)
    values = np.array([value for value, _ in pairs])
    low, high = bootstrap_interval(values, [patient for _, patient in pairs])
    return Difference(other.configuration, float(values.mean()), low, high)
