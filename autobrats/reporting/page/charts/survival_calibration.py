"""Calibration plots: predicted against observed survival of groups of patients."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from autobrats.evaluation.survival.calibration import Calibration
from autobrats.reporting.page.charts.plot import THIRD, Axis, Plot
from autobrats.reporting.page.numbers import decimal, percent, plural


def survival_calibration(calibration: Calibration) -> Element:
    """A diamond a group with the 95 % interval of its observed survival; on the diagonal, both are the same."""
    day = f"{calibration.day:g}"
    plot = Plot(
        Axis(f"predicted share alive after {day} days", 0.0, 1.0),
        Axis("observed share", 0.0, 1.0),
        width=THIRD,
        height=310.0,
    )
    plot.line([(0, 0), (1, 1)], "zero")
    told = []
    for group in calibration.groups:
        if group.observed is None:
            continue
        if group.low is not None and group.high is not None:
            plot.line([(group.predicted, group.low), (group.predicted, group.high)], "interval")
        said = f"predicted {percent(group.predicted)}, observed {percent(group.observed)}"
        plot.marker(group.predicted, group.observed, "diamond", "mean", f"{plural(group.patients, 'patient')}: {said}")
        told.append(said)
    slope = f", calibration slope {decimal(calibration.slope.value, 2)}" if calibration.slope.value is not None else ""
    return plot.to_svg(f"Survival after {day} days{slope}: {'; '.join(told) or 'no group was followed that long'}.")
