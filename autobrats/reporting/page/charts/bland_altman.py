"""Bland-Altman plots: how far two measurements of the same thing lie apart, over how large it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from autobrats.evaluation.summary import bootstrap_interval
from autobrats.reporting.page.charts.plot import THIRD, Axis, Plot
from autobrats.reporting.page.data import Interval
from autobrats.reporting.page.numbers import decimal

REACH = 1.96


@dataclass(frozen=True)
class Agreement:
    """Predicted against reference volumes in ml (Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8).

    Attributes:
        cases: their names.
        middles: the mean of the two volumes, one a case.
        differences: predicted minus reference, one a case.
        bias: the mean difference, with a bootstrap interval by patient.
        low, high: the limits of agreement, the mean difference minus and plus 1.96 standard deviations.
        outside: the share of cases beyond the limits.
    """

    cases: Sequence[str]
    middles: np.ndarray
    differences: np.ndarray
    bias: Interval
    low: float
    high: float

    @property
    def outside(self) -> float:
        return float(np.mean((self.differences < self.low) | (self.differences > self.high)))

    @classmethod
    def of(
        cls, cases: Sequence[str], patients: Sequence[str], predicted: Sequence[float], reference: Sequence[float]
    ) -> Agreement:
        """Of at least two cases; volumes in ml."""
        a, b = np.asarray(predicted, float), np.asarray(reference, float)
        differences = a - b
        mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
        interval = bootstrap_interval(differences, patients)
        limits = mean - REACH * deviation, mean + REACH * deviation
        return cls(list(cases), (a + b) / 2, differences, (mean, *interval), *limits)


def bland_altman(agreement: Agreement, region: str) -> Element:
    """A dot a case; lines at the bias, at the limits of agreement, and at zero."""
    ends = [*agreement.differences, agreement.low, agreement.high, 0.0]
    furthest = 1.08 * max(map(abs, ends)) or 1.0
    largest = float(agreement.middles.max()) if len(agreement.middles) else 1.0
    plot = Plot(
        Axis("mean of prediction and reference, ml", 0.0, 1.04 * largest or 1.0),
        Axis("prediction − reference, ml", -furthest, furthest),
        width=THIRD,
        height=250.0,
    )
    x0, x1 = plot.x.low, plot.x.high
    plot.line([(x0, 0), (x1, 0)], "zero")
    plot.dots(zip(agreement.middles, agreement.differences, strict=True), "cases")
    for name, x, y in zip(agreement.cases, agreement.middles, agreement.differences, strict=True):
        if not agreement.low <= y <= agreement.high:
            plot.marker(x, y, "circle", "mark hollow", f"{name}: {decimal(y, 1, signed=True)} ml")
    bias = agreement.bias[0]
    plot.line([(x0, bias), (x1, bias)], "bias")
    for value, below in ((agreement.high, False), (agreement.low, True)):
        plot.line([(x0, value), (x1, value)], "limit")
        plot.text(x1, value, f"{decimal(value, 1, signed=True)}", "limit-text", anchor="end", dy=13 if below else -5)
    if math.isfinite(bias):
        plot.text(x1, bias, f"bias {decimal(bias, 1, signed=True)}", "bias-text", anchor="end", dy=-5)
    return plot.to_svg(
        f"Bland-Altman plot of {region} volumes: bias {decimal(bias, 1, signed=True)} ml, limits of agreement "
        f"{decimal(agreement.low, 1, signed=True)} and {decimal(agreement.high, 1, signed=True)} ml."
    )
