"""A plot: two axes with ticks and units, and marks in the data's own coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from xml.etree.ElementTree import Element

from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import decimal

THIRD, HALF = 340.0, 440.0
"""Widths of panels that stand three and two abreast on a desk, and alone on a phone."""
MOST_TICKS = 6

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``; the label names the quantity and its unit."""

    label: str
    low: float
    high: float

    @classmethod
    def around(
        cls,
        label: str,
        values: Iterable[float],
        *,
        room: float = 0.06,
        least: float | None = None,
        most: float | None = None,
    ) -> Axis:
        """An axis that holds all values (0 to 1 if there are none), with some room, but not beyond ``least``, ``most``."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        margin = room * (high - low) or 0.05 * abs(high) or 0.5
        low, high = low - margin, high + margin
        return cls(label, low if least is None else max(low, least), high if most is None else min(high, most))

    def ticks(self, most: int = MOST_TICKS, *, whole: bool = False) -> list[float]:
        """Round numbers on the axis: multiples of 1, 2 or 5 times a power of ten (Heckbert, Graphics Gems, 1990)."""
        step = _round_step((self.high - self.low) / max(1, most - 1))
        if whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) + 0.0 for number in range(first, last + 1)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The ticks with as many decimals as their step needs."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [decimal(tick, digits) for tick in ticks]


class Plot:
    """An SVG drawing with an x axis and, unless it is a plot of rows, a y axis.

    Marks are given in data coordinates; :meth:`at` gives the place of a point in the drawing. Without a y axis the
    vertical coordinate is in pixels from the top. Colours and dashes are classes of the stylesheet.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis | None,
        *,
        width: float = HALF,
        height: float = 260.0,
        whole_x: bool = False,
        x_ticks: bool = True,
    ) -> None:
        self.x, self.y = x, y
        self.width, self.height = width, height
        self.top, self.bottom = (24.0 if y else 4.0), height - 38.0
        self._whole_x, self._x_ticks = whole_x, x_ticks
        self._y_ticks = y.ticks() if y else []
        widest = max((len(text) for text in tick_texts(self._y_ticks)), default=0)
        self.left, self.right = (14.0 + 6.9 * widest if y else 10.0), width - 12.0
        self._marks: list[Element] = []

    def at(self, x: float, y: float) -> Point:
        """Where a point of the data lies in the drawing."""
        across = self.left + (x - self.x.low) / (self.x.high - self.x.low) * (self.right - self.left)
        if self.y is None:
            return across, y
        return across, self.bottom - (y - self.y.low) / (self.y.high - self.y.low) * (self.bottom - self.top)

    def draw(self, name: str, *children: Element | str, **attributes: object) -> None:
        """Add an SVG element, its coordinates in the drawing's own pixels."""
        self._marks.append(element(name, *children, **attributes))

    def line(self, points: Sequence[Point], classes: str) -> None:
        """A line through points."""
        places = [self.at(x, y) for x, y in points]
        if places:
            self.draw("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), class_=f"line {classes}")

    def steps(self, points: Sequence[Point], end: float, classes: str) -> None:
        """A line that keeps each value until the next point, and the last until ``end``."""
        corners: list[Point] = []
        for x, y in points:
            corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
        if corners:
            self.line([*corners, (end, corners[-1][1])], classes)

    def dots(self, points: Iterable[Point], classes: str = "") -> None:
        """Many small dots, as one path: a dot is a line of no length with a round end."""
        places = [self.at(x, y) for x, y in points]
        if places:
            self.draw("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in places), class_=f"dots {classes}")

    def crosses(self, points: Iterable[Point], classes: str = "") -> None:
        """Small crosses."""
        places = [self.at(x, y) for x, y in points]
        if places:
            d = "".join(f"M{x - 3:.1f} {y - 3:.1f}l6 6m-6 0l6 -6" for x, y in places)
            self.draw("path", d=d, class_=f"line thin {classes}")

    def marker(self, x: float, y: float, shape: Literal["circle", "diamond"], classes: str, title: str = "") -> None:
        """A single mark; ``title`` is shown when the pointer rests on it."""
        across, down = self.at(x, y)
        told = [element("title", title)] if title else []
        if shape == "circle":
            self.draw("circle", *told, cx=across, cy=down, r=4.0, class_=classes)
        else:
            d = f"M{across:.1f} {down - 6:.1f}l6 6l-6 6l-6 -6z"
            self.draw("path", *told, d=d, class_=classes)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        classes: str = "",
        *,
        anchor: Literal["start", "middle", "end"] = "start",
        dx: float = 0.0,
        dy: float = 0.0,
    ) -> None:
        """Text at a point of the data, moved by pixels."""
        across, down = self.at(x, y)
        self.draw("text", text, x=across + dx, y=down + dy, text_anchor=anchor, class_=classes or None)

    def to_svg(self, description: str) -> Element:
        """The drawing; ``description`` is read out to who cannot see it."""
        return element(
            "svg",
            element("g", self._axes(), class_="axes"),
            self._marks,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_label=description,
        )

    def _axes(self) -> list[Element]:
        parts: list[Element] = []
        ticks = self.x.ticks(whole=self._whole_x) if self._x_ticks else []
        for tick, text in zip(ticks, tick_texts(ticks), strict=True):
            across = self.at(tick, self.bottom)[0]
            parts.append(element("line", x1=across, x2=across, y1=self.top, y2=self.bottom, class_="grid"))
            parts.append(element("text", text, x=across, y=self.bottom + 15, text_anchor="middle"))
        for tick, text in zip(self._y_ticks, tick_texts(self._y_ticks), strict=True):
            down = self.at(self.x.low, tick)[1]
            parts.append(element("line", x1=self.left, x2=self.right, y1=down, y2=down, class_="grid"))
            parts.append(element("text", text, x=self.left - 6, y=down + 4, text_anchor="end"))
        middle = (self.left + self.right) / 2
        parts.append(
            element("text", self.x.label, x=middle, y=self.height - 5, text_anchor="middle", class_="axis-label")
        )
        if self.y:
            parts.append(element("text", self.y.label, x=2.0, y=12.0, class_="axis-label"))
        return parts


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if raw <= factor * power * (1 + 1e-9))
