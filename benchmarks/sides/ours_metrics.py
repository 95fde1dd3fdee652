"""Dice, HD95, NSD and volumes of pairs of label maps by autobrats, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobrats.dataset.conventions import Convention
from autobrats.evaluation.cases import score_case
from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Read the pairs (``labels``: paths and spacing); ``percentile`` is the definition of HD95."""
    convention = Convention.model_validate(options["convention"])
    pairs = [(*np.load(path), spacing) for path, spacing in options["pairs"]]
    state = {"pairs": pairs, "convention": convention, "options": options}
    _scores(state, pairs[:1])
    return state


def repeat(state: dict[str, Any]) -> dict[str, Any]:
    """All pairs; ``scores``: dice, hd95 and nsd by pair and region."""
    scores, figures = measured(lambda: _scores(state, state["pairs"]))
    return figures | {"scores": scores}


def _scores(state: dict[str, Any], pairs: list) -> list[list[list[float]]]:
    options = state["options"]
    scored = [
        score_case(
            prediction,
            reference,
            state["convention"],
            spacing,
            tolerance_mm=options["tolerance_mm"],
            percentile=options["percentile"],
        )
        for prediction, reference, spacing in pairs
    ]
    return [[[float(region[name]) for name in ("dice", "hd95", "nsd")] for region in case.values()] for case in scored]


if __name__ == "__main__":
    serve(prepare, repeat)
