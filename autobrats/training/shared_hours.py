"""A budget of hours that is shared out over the folds that are left."""

from __future__ import annotations

import math
import time


class SharedHours:
    """Hours that run from now on.

    Args:
        hours: for everything; None without a budget.
    """

    def __init__(self, hours: float | None) -> None:
        self._end = None if hours is None else time.monotonic() + 3600 * hours

    @property
    def left(self) -> float | None:
        """Hours that are left, at least 0; None without a budget."""
        return None if self._end is None else max(0.0, self._end - time.monotonic()) / 3600

    def for_next(self, unfinished: int, at_once: int = 1) -> float | None:
        """Hours for the fold that starts now; None without a budget. See :func:`even_share`."""
        return None if self.left is None else even_share(self.left, unfinished, at_once)


def even_share(hours_left: float, unfinished: int, at_once: int = 1) -> float:
    """Hours of one fold, so that all have the same and end in time.

    Five folds on two devices take three rounds, so each may have a third of the hours; five on five may have all of them.

    Args:
        hours_left: for everything.
        unfinished: folds, the one that starts and those that are running included.
        at_once: folds that run at the same time.
    """
    return hours_left / math.ceil(unfinished / at_once)
