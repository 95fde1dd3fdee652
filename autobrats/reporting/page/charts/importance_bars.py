"""Importances of features as bars with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from autobrats.reporting.page.charts.plot import HALF, Axis, Plot
from autobrats.reporting.page.numbers import decimal

ROW, FOOT = 36.0, 46.0
NAME_LENGTH = 44


@dataclass(frozen=True)
class Importance:
    """A bar: its name, its length, and the ends of its 95 % interval where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def importance_bars(rows: Sequence[Importance], label: str, *, digits: int = 3) -> Element:
    """A bar a row from zero, to the left if it is negative, and its interval as a line.

    Args:
        label: of the axis: the quantity and its unit.
    """
    ends = [0.0, *(end for it in rows for end in (it.value, it.low, it.high) if end is not None)]
    low, high = min(ends), max(ends)
    room = 0.02 * (high - low) or 0.01
    plot = Plot(
        Axis(label, low - room if low < 0 else 0.0, high + room), None, width=HALF, height=ROW * len(rows) + FOOT
    )
    for index, it in enumerate(rows):
        top = ROW * index + 20
        zero, end = plot.at(0, 0)[0], plot.at(it.value, 0)[0]
        name = it.name if len(it.name) <= NAME_LENGTH else f"{it.name[: NAME_LENGTH - 2]}…"
        plot.draw("text", name, x=plot.left, y=top - 5, class_="row-name")
        plot.draw("text", decimal(it.value, digits), x=plot.right, y=top - 5, text_anchor="end", class_="row-name")
        plot.draw("rect", x=min(zero, end), y=top, width=max(0.5, abs(end - zero)), height=9.0, class_="bar")
        plot.line([(0.0, top - 1), (0.0, top + 10)], "zero")
        if it.low is not None and it.high is not None:
            plot.line([(it.low, top + 4.5), (it.high, top + 4.5)], "interval")
    told = "; ".join(f"{it.name} {decimal(it.value, digits)}" for it in rows)
    return plot.to_svg(f"{label}: {told}.")
