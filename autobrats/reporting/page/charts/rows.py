"""Charts of named rows on one axis: box plots of all cases, intervals, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from autobrats.reporting.page.charts.plot import HALF, THIRD, Axis, Plot
from autobrats.reporting.page.data import Interval
from autobrats.reporting.page.numbers import decimal, percent, with_interval

BOX_ROW, INTERVAL_ROW, BAR_ROW, FOOT = 60.0, 46.0, 34.0, 46.0
"""Pixels of a row of each kind, and of the axis below all rows."""
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Box:
    """A box plot: quartiles, and whiskers to the outermost values within 1.5 box lengths (Tukey, 1977)."""

    q25: float
    median: float
    q75: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Box:
        """Of at least one value; quartiles are linearly interpolated, as in the tables."""
        numbers = np.asarray(values, float)
        q25, median, q75 = (float(quantile) for quantile in np.percentile(numbers, [25, 50, 75]))
        reach = 1.5 * (q75 - q25)
        inside = numbers[(numbers >= q25 - reach) & (numbers <= q75 + reach)]
        return cls(q25, median, q75, float(inside.min()), float(inside.max()))


@dataclass(frozen=True)
class BoxRow:
    """A row of :func:`box_plots`: its name, one value a case, and their mean with its interval."""

    name: str
    values: Sequence[float]
    mean: Interval
    marked: bool = False


def box_plots(
    rows: Sequence[BoxRow], axis: Axis, description: str, *, digits: int = 3, width: float = THIRD
) -> Element:
    """A box plot with the mean's 95 % interval as a diamond with a bar, and below it every case as a dot."""
    plot = _plot(axis, len(rows), width, BOX_ROW)
    for index, row in enumerate(rows):
        middle = BOX_ROW * index + 31
        _heading(plot, BOX_ROW * index, row.name, decimal(row.mean[0], digits), row.marked)
        # A golden-ratio sequence spreads the dots evenly over their strip, the same way every time.
        plot.dots((value, middle + 12 + 10 * (k * GOLDEN % 1)) for k, value in enumerate(row.values))
        if row.values:
            _draw_box(plot, Box.of(row.values), middle, "marked" if row.marked else "")
        _draw_interval(plot, row.mean, middle)
    return plot.to_svg(description)


def intervals(rows: Mapping[str, Interval], axis: Axis, description: str, *, signed: bool = False) -> Element:
    """A mean and its interval a row; a line at zero if the values are differences."""
    plot = _plot(axis, len(rows), HALF, INTERVAL_ROW)
    for index, (name, interval) in enumerate(rows.items()):
        if signed and axis.low <= 0 <= axis.high:
            plot.line([(0, INTERVAL_ROW * index + 22), (0, INTERVAL_ROW * index + 40)], "zero")
        _heading(plot, INTERVAL_ROW * index, name, with_interval(*interval, signed=signed), False)
        _draw_interval(plot, interval, INTERVAL_ROW * index + 31)
    return plot.to_svg(description)


def bars(shares: Mapping[str, float], label: str, description: str) -> Element:
    """Shares of a whole as bars, each with its number."""
    rows = list(shares.items())
    plot = _plot(Axis(label, 0.0, 100 * max([*shares.values(), 0.01]) * 1.02), len(rows), HALF, BAR_ROW)
    for index, (name, share) in enumerate(rows):
        top = BAR_ROW * index + 18
        left, right = plot.at(0, 0)[0], plot.at(100 * share, 0)[0]
        plot.draw("text", name, x=left, y=top - 4)
        plot.draw("text", percent(share), x=plot.right, y=top - 4, text_anchor="end")
        plot.draw("rect", x=left, y=top, width=max(0.5, right - left), height=9.0, class_="bar")
    return plot.to_svg(description)


def _plot(axis: Axis, rows: int, width: float, row: float) -> Plot:
    return Plot(axis, None, width=width, height=row * rows + FOOT)


def _heading(plot: Plot, top: float, name: str, value: str, marked: bool) -> None:
    y = top + 16
    shown = name if len(name) <= 38 else f"{name[:36]}…"
    classes = "row-name marked" if marked else "row-name"
    plot.draw("text", shown, x=plot.left, y=y, class_=classes)
    plot.draw("text", value, x=plot.right, y=y, text_anchor="end", class_=classes)


def _draw_box(plot: Plot, box: Box, middle: float, classes: str) -> None:
    low, q25, median, q75, high = (plot.at(value, 0)[0] for value in (box.low, box.q25, box.median, box.q75, box.high))
    plot.draw("path", d=f"M{low:.1f} {middle:.1f}H{q25:.1f}M{q75:.1f} {middle:.1f}H{high:.1f}", class_="line whisker")
    plot.draw("rect", x=q25, y=middle - 7, width=max(0.5, q75 - q25), height=14.0, class_=f"box {classes}")
    plot.draw("path", d=f"M{median:.1f} {middle - 7:.1f}v14", class_="line median")


def _draw_interval(plot: Plot, interval: Interval, middle: float) -> None:
    mean, low, high = interval
    if low is not None and high is not None:
        left, right = plot.at(low, 0)[0], plot.at(high, 0)[0]
        d = f"M{left:.1f} {middle - 4:.1f}v8m0 -4H{right:.1f}m0 -4v8"
        plot.draw("path", d=d, class_="line interval")
    plot.marker(mean, middle, "diamond", "mean")
