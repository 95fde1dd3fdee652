"""What a search maximises: one number a case, from the Dice and HD95 of its regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

ObjectiveName = Literal["ranks", "dice", "hd95"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("ranks", "dice", "hd95")

Objective = Callable[[np.ndarray], np.ndarray]
"""From scores, (case, region, metric) with Dice and HD95 in mm, to values (case,), of which higher ones are better."""

DICE, HD95 = 0, 1
TIE_DIGITS = 4
"""Scores that agree to so many decimals are ties."""


def new_objective(name: ObjectiveName, default: np.ndarray) -> Objective:
    """The objective of that name.

    ``ranks``, the default, is a blend of Dice and HD95 that no unit and no outlier dominates: each score becomes the
    share of the untuned default's scores (of the same region and metric) that it beats, ties counting half, HD95 upside
    down; the value of a case is the mean over both metrics and all regions. The default itself has a mean of 0.5.
    ``dice`` is the mean Dice over the regions, ``hd95`` the negative of the mean HD95.

    Args:
        default: scores of the untuned default on the cases of the search, (case, region, metric).
    """
    if name == "dice":
        return lambda scores: scores[..., DICE].mean(1)
    if name == "hd95":
        return lambda scores: -scores[..., HD95].mean(1)
    sign = np.array([1.0, -1.0])
    # Distances in single precision differ in their last digits where they are the same.
    sorted_default = np.sort(default.round(TIE_DIGITS) * sign, axis=0)

    def ranks(scores: np.ndarray) -> np.ndarray:
        shares = np.empty(scores.shape)
        for region in range(scores.shape[1]):
            for metric in range(scores.shape[2]):
                known, values = (
                    sorted_default[:, region, metric],
                    scores[:, region, metric].round(TIE_DIGITS) * sign[metric],
                )
                below, up_to = (np.searchsorted(known, values, side) for side in ("left", "right"))
                shares[:, region, metric] = (below + up_to) / (2 * len(known))
        return shares.mean((1, 2))

    return ranks
