"""Stopping in good order: signals, and losses that are not a number."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

from autobrats.errors import UserError
from autobrats.training.hooks import Hook

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

_log = logging.getLogger(__name__)


class StopOnSignal(Hook):
    """SIGINT and SIGTERM let the step end, write a checkpoint and leave; a second one leaves at once."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def before_training(self, trainer: Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def ask(number: int, _frame: Any) -> None:
            self._restore()
            trainer.stop_reason = signal.Signals(number).name

        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, ask)

    def after_training(self, trainer: Trainer) -> None:
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())


class TrainingFailed(Exception):
    """The training cannot go on; the message says why and what to do."""


def failure_reason(error: Exception) -> str:
    """Why a training failed, without a full stop; the kind of error where its message was not written for users."""
    told = str(error) if isinstance(error, UserError | TrainingFailed) else f"{type(error).__name__}: {error}"
    return told.rstrip(".")


class NotANumberGuard:
    """A loss or gradient that is not finite drops the step, halves the learning rate and names the cases; the third stops.

    Attributes:
        events: how often it happened.
    """

    LIMIT = 3

    def __init__(self) -> None:
        self.events = 0

    @property
    def rate_factor(self) -> float:
        """The factor on the learning rate."""
        return 0.5**self.events

    def record(self, cases: list[str], iteration: int) -> None:
        """Count an event.

        Raises:
            TrainingFailed: at the third.
        """
        self.events += 1
        named = ", ".join(sorted(set(cases)))
        if self.events >= self.LIMIT:
            raise TrainingFailed(
                f"the loss was not a number {self.events} times, the last at iteration {iteration} with the cases {named}; "
                "look at their images, or plan a lower learning rate."
            )
        _log.warning(
            "The loss or its gradient is not a number at iteration %d with the cases %s; the step is dropped and the "
            "learning rate halved.",
            iteration,
            named,
        )
