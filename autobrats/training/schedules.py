"""Learning-rate schedules: the factor on the peak rate, by progress through the training."""

from __future__ import annotations

import math


class Polynomial:
    """Linear warm-up, then (1 - t)^exponent, t the share of the training that is done (Chen et al., DeepLab, 2018).

    Args:
        warm_up: the share of the training that the warm-up takes.
        exponent: of the decay.
    """

    def __init__(self, warm_up: float = 0.0, exponent: float = 0.9) -> None:
        if not 0 <= warm_up < 1:
            raise ValueError(f"warm_up must be in [0, 1), got {warm_up}")
        self.warm_up, self.exponent = warm_up, exponent

    def factor(self, progress: float) -> float:
        """The factor on the peak rate at a progress in 0..1."""
        if progress < self.warm_up:
            return max(progress, 1e-3) / self.warm_up
        return max(0.0, 1 - _rest(progress, self.warm_up)) ** self.exponent


class Cosine:
    """Linear warm-up, then half a cosine to zero (Loshchilov and Hutter, ICLR 2017).

    Args:
        warm_up: the share of the training that the warm-up takes.
    """

    def __init__(self, warm_up: float = 0.0) -> None:
        if not 0 <= warm_up < 1:
            raise ValueError(f"warm_up must be in [0, 1), got {warm_up}")
        self.warm_up = warm_up

    def factor(self, progress: float) -> float:
        """The factor on the peak rate at a progress in 0..1."""
        if progress < self.warm_up:
            return max(progress, 1e-3) / self.warm_up
        return (1 + math.cos(math.pi * min(1.0, _rest(progress, self.warm_up)))) / 2


def _rest(progress: float, warm_up: float) -> float:
    return (progress - warm_up) / (1 - warm_up)
