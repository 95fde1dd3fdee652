"""What a survival model is tuned for, as one number a fold; higher is better."""

from __future__ import annotations

from typing import Literal

import numpy as np

Objective = Literal["c_index", "spearman", "accuracy", "mse"]
TITLES: dict[Objective, str] = {
    "c_index": "C-index",
    "spearman": "SpearmanR",
    "accuracy": "accuracy",
    "mse": "MSE",
}
METRICS: dict[Objective, str] = {
    "c_index": "c_harrell",
    "spearman": "spearman_r",
    "accuracy": "class_accuracy",
    "mse": "mse",
}
"""Their names in :mod:`autobrats.evaluation.survival.metrics`."""


def default_objective(died: np.ndarray) -> Objective:
    """The C-index where a patient is censored, else Spearman's correlation with the days.

    The challenge ranks by accuracy too; but three classes tell less of a patient than an order, and so a choice by them is
    easier fooled.
    """
    return "spearman" if died.all() else "c_index"
