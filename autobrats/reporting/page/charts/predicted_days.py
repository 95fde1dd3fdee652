"""Predicted against true survival, with the borders of the three classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from autobrats.evaluation.survival.portal import LONG_ABOVE_DAYS, SHORT_BELOW_DAYS
from autobrats.reporting.page.charts.plot import Axis, Plot
from autobrats.reporting.page.numbers import plural


@dataclass(frozen=True)
class Lived:
    """A patient: how long they lived (or were seen alive, if they did not die), and what was predicted, in days."""

    days: float
    died: bool
    predicted: float


def predicted_days(patients: Sequence[Lived]) -> Element:
    """A dot for everyone who died, an arrow to the right for everyone alive when last seen; the classes' squares.

    Predictions beyond the axis are drawn at its edge.
    """
    most = longest_axis(patients)
    plot = Plot(Axis("lived, days", 0.0, most), Axis("predicted, days", 0.0, most))
    plot.bottom = plot.top + (plot.right - plot.left)  # days are as long in both directions
    plot.height = plot.bottom + 38.0
    for low, high in ((0.0, SHORT_BELOW_DAYS), (SHORT_BELOW_DAYS, LONG_ABOVE_DAYS), (LONG_ABOVE_DAYS, most)):
        left, top = plot.at(low, high)
        side = plot.at(high, high)[0] - left
        plot.draw("rect", x=left, y=top, width=side, height=side, class_="class-square")
    for border in (SHORT_BELOW_DAYS, LONG_ABOVE_DAYS):
        plot.line([(border, 0), (border, most)], "border")
        plot.line([(0, border), (most, border)], "border")
    plot.line([(0, 0), (most, most)], "zero")
    plot.dots([_place(it, most) for it in patients if it.died], "cases")
    censored = [plot.at(*_place(it, most)) for it in patients if not it.died]
    if censored:
        d = "".join(f"M{x - 3:.1f} {y:.1f}h8m-3 -3l3 3l-3 3" for x, y in censored)
        plot.draw("path", d=d, class_="line alive")
    died = sum(it.died for it in patients)
    return plot.to_svg(
        f"Predicted against true days of {plural(len(patients), 'patient')}: {died} died, "
        f"{len(patients) - died} were alive when last seen."
    )


def longest_axis(patients: Sequence[Lived]) -> float:
    """Where the axes end, in days: a little beyond the longest time that anyone was seen alive."""
    return 1.04 * max([*(it.days for it in patients), LONG_ABOVE_DAYS * 1.5])


def _place(patient: Lived, most: float) -> tuple[float, float]:
    return patient.days, min(max(patient.predicted, 0.0), most)
