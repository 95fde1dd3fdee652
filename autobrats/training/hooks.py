"""What happens beside the training steps: a base class, a page of code each for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer


class Hook:
    """Called by the trainer in the order of its list."""

    def before_training(self, trainer: Trainer) -> None:
        """After a checkpoint was restored, before the first step."""

    def after_step(self, trainer: Trainer) -> None:
        """After every step; ``trainer.iteration`` counts it already."""

    def after_epoch(self, trainer: Trainer) -> None:
        """After the steps of an epoch; hooks before this one have added to ``trainer.record``."""

    def after_training(self, trainer: Trainer) -> None:
        """After the last step, and when the training was asked to stop (``trainer.stop_reason``)."""
