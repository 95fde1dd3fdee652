"""progress.png: how a training went, over its iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autobrats.files import atomic_path
from autobrats.reporting.palette import BLUE, GREY, VERMILION, region_colours

SMOOTHING_SHARE = 0.04
"""A moving average over this share of the epochs makes the trend of a noisy curve readable."""


def write_progress_figure(path: Path, history: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw loss, validation Dice by region and learning rate.

    Args:
        path: the PNG file.
        history: one record an epoch with ``loss``, ``learning_rate`` and, where they were measured,
            ``validation_loss`` and ``quick_dice`` ({region: Dice}). The horizontal axis is ``iteration``, else the
            epoch's number. A value may be missing or None.
        title: above the figure.

    Raises:
        ValueError: if the history is empty.
    """
    if not history:
        raise ValueError("there is no epoch to draw yet")
    # The figure's own canvas, not pyplot: no window system is asked for and nothing global changes in a training.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    loss, dice, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.3))
    steps = [_number(record.get("iteration"), index + 1) for index, record in enumerate(history)]

    _draw_curve(loss, steps, [record.get("loss") for record in history], BLUE, "training", "-")
    _draw_curve(
        loss, steps, [record.get("validation_loss") for record in history], VERMILION, "validation patches", "--"
    )
    loss.set_ylabel("loss")

    regions = list(dict.fromkeys(region for record in history for region in record.get("quick_dice") or {}))
    for (region, colour), style in zip(region_colours(regions).items(), _styles(), strict=False):
        values = [(record.get("quick_dice") or {}).get(region) for record in history]
        _draw_curve(dice, steps, values, colour, region, style)
    dice.set(ylabel="Dice of validation patches", ylim=(0, 1))
    if not regions:
        dice.text(0.5, 0.5, "not measured", transform=dice.transAxes, ha="center", va="center", color=GREY)

    _draw_curve(rate, steps, [record.get("learning_rate") for record in history], GREY, None, "-", smooth=False)
    rate.set(ylabel="learning rate", xlabel="iteration" if "iteration" in history[0] else "epoch")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))

    for axes in (loss, dice, rate):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, ncols=4, loc="best")
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_curve(
    axes: Any, steps: list[float], values: list[Any], colour: str, label: str | None, style: str, smooth: bool = True
) -> None:
    """A curve of the values that exist; with enough of them, faint points under their moving average."""
    import math

    import numpy as np

    pairs = [(step, float(value)) for step, value in zip(steps, values, strict=True) if value is not None]
    pairs = [(step, value) for step, value in pairs if math.isfinite(value)]
    if not pairs:
        return
    x, y = np.array(pairs).T
    width = max(1, round(SMOOTHING_SHARE * len(y)))
    if smooth and width > 1:
        axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
        kernel = np.ones(width)
        y = np.convolve(y, kernel, "same") / np.convolve(np.ones(len(y)), kernel, "same")
    marker = "o" if len(y) == 1 else None
    shown = None if label is None else f"{label} {pairs[-1][1]:.3f}"
    axes.plot(x, y, color=colour, linestyle=style, linewidth=1.8, marker=marker, label=shown)


def _styles() -> list[str]:
    """Line styles, so that curves differ without colour as well."""
    return ["-", "--", "-.", ":"] * 8


def _number(value: Any, fallback: float) -> float:
    return fallback if value is None else float(value)
