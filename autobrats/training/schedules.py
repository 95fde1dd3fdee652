"""Learning-rate schedules: the factor on the peak rate, by progress through the training."""

from __future__ import annotations

import math
from typing import Any


class Schedule:
    """A factor on the peak learning rate."""

    def factor(self, progress: float) -> float:
        """The factor on the peak rate at a progress in 0..1, the share of the iterations that are done."""
        raise NotImplementedError

    def observe(self, record: dict[str, Any]) -> None:
        """Take note of an epoch.

        Called at the end of every epoch; a resumed training first shows a new schedule all epochs so far, in order. What
        a schedule remembers must follow from that alone.

        Args:
            record: what the training recorded of the epoch; ``validation_loss`` may be absent or None.
        """


class Polynomial(Schedule):
    """Linear warm-up, then (1 - t)^exponent, t the share of the training that is done (Chen et al., DeepLab, 2018).

    An exponent of 0 keeps the peak rate after the warm-up.

    Args:
        warm_up: the share of the training that the warm-up takes.
        exponent: of the decay.
    """

    def __init__(self, warm_up: float = 0.0, exponent: float = 0.9) -> None:
        self.warm_up, self.exponent = _checked_warm_up(warm_up), exponent

    def factor(self, progress: float) -> float:
        if progress < self.warm_up:
            return _warm_up_factor(progress, self.warm_up)
        return max(0.0, 1 - _rest(progress, self.warm_up)) ** self.exponent


class Cosine(Schedule):
    """Linear warm-up, then half a cosine to zero (Loshchilov and Hutter, ICLR 2017).

    Args:
        warm_up: the share of the training that the warm-up takes.
    """

    def __init__(self, warm_up: float = 0.0) -> None:
        self.warm_up = _checked_warm_up(warm_up)

    def factor(self, progress: float) -> float:
        if progress < self.warm_up:
            return _warm_up_factor(progress, self.warm_up)
        return (1 + math.cos(math.pi * min(1.0, _rest(progress, self.warm_up)))) / 2


class ExploreExploit(Schedule):
    """Linear warm-up, the peak rate for long, then linear to the floor (Wright and Demeure, arXiv 2106.13731, 2021).

    Their warm-up takes 22 % of the iterations or 2 / (1 - beta_2) iterations, whichever is shorter (Demeure's port; the
    released code: the latter, unless that is more than 45 % of the training); the plan gives the share that comes of it.
    The floor is 0 in the port and a rate of 3e-5 in the released code, which is 0.01 of a peak rate of 3e-3.

    Args:
        warm_up: the share of the training that the warm-up takes.
        warm_down: the share of the training, at its end, in which the rate falls.
        floor: the factor at the end.
    """

    def __init__(self, warm_up: float = 0.22, warm_down: float = 0.28, floor: float = 0.0) -> None:
        self.warm_up, self.warm_down, self.floor = _checked_warm_up(warm_up), warm_down, floor
        if not 0 < warm_down <= 1 - warm_up:
            raise ValueError(f"warm_down must be above 0 and at most 1 - warm_up = {1 - warm_up:g}, got {warm_down}")
        if not 0 <= floor <= 1:
            raise ValueError(f"floor must be in [0, 1], got {floor}")

    def factor(self, progress: float) -> float:
        if progress < self.warm_up:
            return _warm_up_factor(progress, self.warm_up)
        left = max(0.0, 1 - progress) / self.warm_down
        return self.floor + (1 - self.floor) * min(1.0, left)


class Plateau(Schedule):
    """The rate is multiplied by ``decay`` each time the validation loss has stopped falling.

    anand2020 (section 3.2): "decayed by a factor of 10% every-time the validation loss plateaued", read as 10 % less, not
    as a tenth (that would be ``decay=0.1``). What a plateau is they do not tell: patience and threshold are those of
    PyTorch's ReduceLROnPlateau, which this equals for positive losses. Epochs without a validation loss do not count; a
    loss that is not a number is no improvement.

    Args:
        decay: the factor at a plateau.
        patience: so many epochs without improvement are let pass; the next one is a plateau.
        threshold: an improvement is a loss below the best by more than this share of the best's size.
    """

    def __init__(self, decay: float = 0.9, patience: int = 10, threshold: float = 1e-4) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must be above 0 and below 1, got {decay}")
        if patience < 0:
            raise ValueError(f"patience must not be negative, got {patience}")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.decay, self.patience, self.threshold = decay, patience, threshold
        self._best: float | None = None
        self._epochs_without_improvement, self._plateaus = 0, 0

    def factor(self, progress: float) -> float:
        return self.decay**self._plateaus

    def observe(self, record: dict[str, Any]) -> None:
        loss = record.get("validation_loss")
        if loss is None:
            return
        if self._improves(loss):
            self._best, self._epochs_without_improvement = loss, 0
            return
        self._epochs_without_improvement += 1
        if self._epochs_without_improvement > self.patience:
            self._plateaus, self._epochs_without_improvement = self._plateaus + 1, 0

    def _improves(self, loss: float) -> bool:
        if self._best is None:
            return not math.isnan(loss)
        return loss < self._best - self.threshold * abs(self._best)  # abs: Dice losses can be negative


def _checked_warm_up(warm_up: float) -> float:
    if not 0 <= warm_up < 1:
        raise ValueError(f"warm_up must be in [0, 1), got {warm_up}")
    return warm_up


def _warm_up_factor(progress: float, warm_up: float) -> float:
    return min(1.0, max(progress, 1e-3) / warm_up)  # from a little above 0: the first step shall not be lost


def _rest(progress: float, warm_up: float) -> float:
    return (progress - warm_up) / (1 - warm_up)
