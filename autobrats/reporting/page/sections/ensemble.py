"""Which networks predict together, and what more of them would bring and cost."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.search import cost_curve
from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.numbers import count, decimal, percent
from autobrats.reporting.tables import fold_list


def the_ensemble(data: ReportData) -> Element | None:
    """The curve of score against cost, and the members."""
    if not data.curve and not data.members:
        return None
    return blocks.section("ensemble", "Ensemble", _curve(data), _members(data))


def _curve(data: ReportData) -> list[Element]:
    if not data.curve:
        return []
    figure = blocks.figure(
        [blocks.panel(cost_curve(data.curve, "mean Dice"))],
        "Mean Dice of ensembles over the seconds that they take for a case, with 95 % intervals: where the curve "
        "flattens, more networks cost time and bring nothing. The numbers are those of the table.",
        size="half",
        legend=blocks.legend([Key("dot", "plain", "an ensemble"), Key("diamond", "", "the one that was chosen")]),
    )
    rows = [
        [
            f"{number}{', chosen' if point.chosen else ''}",
            point.label,
            count(point.networks),
            decimal(point.seconds_per_case, 2),
            blocks.estimate(point.score, point.low, point.high),
        ]
        for number, point in enumerate(data.curve, start=1)
    ]
    table = blocks.table(
        "The ensembles of the curve; mean Dice with its 95 % interval.",
        ["number", "ensemble", "networks", "seconds a case", "mean Dice"],
        rows,
        texts=(0, 1),
        marked=[index for index, point in enumerate(data.curve) if point.chosen],
    )
    return [figure, table]


def _members(data: ReportData) -> Element | None:
    if not data.members:
        return None
    return blocks.table(
        "Members of the model and their weights in the average.",
        ["configuration", "folds", "weight"],
        [[member.configuration, fold_list(member.folds), percent(member.weight)] for member in data.members],
        texts=(0, 1),
    )
