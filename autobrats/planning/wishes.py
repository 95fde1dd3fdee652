"""What the user asked of the planner."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Wishes:
    """What the user asked for.

    Attributes:
        max_hours: for all folds together; None if not given.
        epochs: None if not given.
        gpu_memory_gib: plan for a card of that size instead of this machine's device.
        device: to train on.
        seed: of everything.
        n_folds: of the user's own folds; None to decide.
        training_cases: of the first fold, if the folds are known already.
    """

    device: torch.device
    max_hours: float | None = None
    epochs: int | None = None
    gpu_memory_gib: float | None = None
    seed: int = 0
    n_folds: int | None = None
    training_cases: int | None = None
