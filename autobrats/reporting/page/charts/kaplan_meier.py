"""Kaplan-Meier curves of groups of patients, with intervals, censoring and the numbers at risk."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np

from autobrats.evaluation.survival.kaplan_meier import SurvivalCurve
from autobrats.reporting.page.charts.plot import HALF, Axis, Plot, Point
from autobrats.reporting.page.numbers import count, plural

HEIGHT, RISK_ROW, RISK_HEADING = 290.0, 17.0, 20.0
NAME_WIDTH = 52.0
"""Left of the first number at risk."""


def kaplan_meier_curves(curves: Mapping[str, SurvivalCurve], styles: Mapping[str, int], x_label: str) -> Element:
    """A step line a group with its pointwise 95 % interval as a band, a tick for everyone censored, and below the axis
    how many were still observed.

    Args:
        curves: by the group's name.
        styles: which of the stylesheet's series each group is drawn in.
        x_label: the quantity and unit of the horizontal axis.
    """
    end = max(float(curve.days[-1]) for curve in curves.values())
    plot = Plot(Axis(x_label, 0.0, end), Axis("share alive", 0.0, 1.0), height=HEIGHT)
    plot.left = max(plot.left, NAME_WIDTH)
    for name, curve in curves.items():
        _band(plot, curve, f"band f{styles[name]}")
    for name, curve in curves.items():
        points = [(0.0, 1.0), *zip(curve.days.tolist(), curve.survival.tolist(), strict=True)]
        plot.steps(points, float(curve.days[-1]), f"s{styles[name]}")
        _censored(plot, curve, styles[name])
    _numbers_at_risk(plot, curves)
    told = "; ".join(f"{name}: {plural(curve.patients, 'patient')}, {_median(curve)}" for name, curve in curves.items())
    drawing = plot.to_svg(f"Kaplan-Meier curves. {told}.")
    drawing.set("viewBox", f"0 0 {HALF:g} {HEIGHT + RISK_HEADING + RISK_ROW * len(curves):g}")
    return drawing


def _band(plot: Plot, curve: SurvivalCurve, classes: str) -> None:
    upper = _corners(curve.days, curve.high)
    lower = _corners(curve.days, curve.low)
    places = [plot.at(x, y) for x, y in [*upper, *reversed(lower)]]
    plot.draw("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + "z", class_=classes)


def _corners(days: np.ndarray, values: np.ndarray) -> list[Point]:
    """Of a line that starts at 1 and keeps each value until the next day; an undefined end keeps the last defined one."""
    filled: list[Point] = [(0.0, 1.0)]
    for day, value in zip(days.tolist(), values.tolist(), strict=True):
        filled.append((day, value if np.isfinite(value) else filled[-1][1]))
    corners = [filled[0]]
    for (_, before), (day, value) in pairwise(filled):
        corners += [(day, before), (day, value)]
    return corners


def _censored(plot: Plot, curve: SurvivalCurve, style: int) -> None:
    """Short ticks on the line where patients were lost from sight."""
    lost = curve.censored > 0
    places = [plot.at(x, y) for x, y in zip(curve.days[lost], curve.survival[lost], strict=True)]
    if places:
        plot.draw("path", d="".join(f"M{x:.1f} {y - 4:.1f}v8" for x, y in places), class_=f"line tick s{style}")


def _numbers_at_risk(plot: Plot, curves: Mapping[str, SurvivalCurve]) -> None:
    top = plot.height + RISK_HEADING - 6
    plot.draw("text", "still observed", x=2.0, y=top, class_="axis-label")
    for row, (name, curve) in enumerate(curves.items(), start=1):
        y = top + RISK_ROW * row
        plot.draw("text", name, x=2.0, y=y)
        for day in plot.x.ticks():
            across = plot.at(day, 0)[0]
            plot.draw("text", count(curve.number_at_risk(day)), x=across, y=y, text_anchor="middle")


def _median(curve: SurvivalCurve) -> str:
    median = curve.median_days()
    return "median survival not reached" if median is None else f"median survival {median:.0f} days"
