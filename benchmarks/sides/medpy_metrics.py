"""Dice and HD95 of pairs of region maps by medpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from medpy.metric import binary

from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray, list[float]]]:
    """Read the pairs (``pairs``: paths of region maps, and spacing in mm along their axes)."""
    return [(*np.load(path), spacing) for path, spacing in options["pairs"]]


def repeat(pairs: list[tuple[np.ndarray, np.ndarray, list[float]]]) -> dict[str, Any]:
    """All pairs; ``scores``: dice and hd95 by pair and region."""
    scores, figures = measured(lambda: [_scores(*pair) for pair in pairs])
    return figures | {"scores": scores}


def _scores(prediction: np.ndarray, reference: np.ndarray, spacing: list[float]) -> list[list[float]]:
    rows = []
    for one, other in zip(prediction, reference, strict=True):
        hd95 = binary.hd95(one, other, voxelspacing=spacing) if one.any() and other.any() else float("nan")
        rows.append([float(binary.dc(one, other)), float(hd95)])
    return rows


if __name__ == "__main__":
    serve(prepare, repeat)
