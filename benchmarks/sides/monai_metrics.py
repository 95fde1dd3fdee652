"""Dice and HD95, with ``nsd`` also NSD, of pairs of region maps by MONAI."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice

from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Read the pairs (``pairs``: paths of region maps, and spacing in mm along their axes)."""
    warnings.simplefilter("ignore", FutureWarning)  # MONAI's, of its own arguments
    pairs = [(*(torch.from_numpy(one)[None] for one in np.load(path)), spacing) for path, spacing in options["pairs"]]
    state = options | {"pairs": pairs}
    _scores(*pairs[0], state)
    return state


def repeat(state: dict[str, Any]) -> dict[str, Any]:
    """All pairs; ``scores``: dice, hd95 and perhaps nsd by pair and region."""
    scores, figures = measured(lambda: [_scores(*pair, state) for pair in state["pairs"]])
    return figures | {"scores": scores}


def _scores(
    prediction: torch.Tensor, reference: torch.Tensor, spacing: list[float], state: dict[str, Any]
) -> list[list[float]]:
    columns = [
        DiceMetric(reduction="none", ignore_empty=False)(prediction, reference)[0],
        compute_hausdorff_distance(prediction, reference, include_background=True, percentile=95, spacing=spacing)[0],
    ]
    if state["nsd"]:
        tolerances = [state["tolerance_mm"]] * prediction.shape[1]
        columns.append(
            compute_surface_dice(prediction, reference, tolerances, include_background=True, spacing=spacing)[0]
        )
    return torch.stack([column.double() for column in columns], 1).tolist()


if __name__ == "__main__":
    serve(prepare, repeat)
