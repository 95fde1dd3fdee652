"""Lines over the course of something: a training, a tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from autobrats.reporting.page.charts.plot import THIRD, Axis, Plot, Point

STYLES = 6
"""Series styles in the stylesheet: each a colour and a dash of its own."""


def curves(series: Mapping[str, Sequence[Point]], x_label: str, y: Axis, description: str) -> Element:
    """A line a series, in the order of the styles; a series of one point is a dot. Points that are not finite are left
    out."""
    finite = {name: [(x, value) for x, value in points if math.isfinite(value)] for name, points in series.items()}
    end = max((x for points in finite.values() for x, _ in points), default=1.0)
    plot = Plot(Axis(x_label, 0.0, end or 1.0), y, width=THIRD, height=220.0)
    for index, points in enumerate(finite.values()):
        if len(points) == 1:
            plot.marker(*points[0], "circle", f"mark s{index % STYLES}")
        plot.line(points, f"s{index % STYLES}")
    return plot.to_svg(description)
