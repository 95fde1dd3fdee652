"""Out-of-fold scores of every configuration."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.summary import Summary, bootstrap_interval
from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.plot import Axis
from autobrats.reporting.page.charts.rows import BoxRow, box_plots, intervals
from autobrats.reporting.page.data import Interval, ReportData
from autobrats.reporting.page.numbers import count, decimal, listed, plural
from autobrats.reporting.tables import fold_list

_KEYS = (
    Key("dot", "filled", "a case"),
    Key("box", "", "quartiles and median; whiskers to 1.5 box lengths"),
    Key("diamond", "", "mean and its 95 % interval"),
)


def out_of_fold_scores(data: ReportData) -> Element | None:
    """Box plots by region, paired differences, and the table."""
    if not data.compared:
        return None
    regions = list(dict.fromkeys(region for metrics in data.compared.values() for region in metrics.summary))
    marked = set(data.chosen_names)
    return blocks.section(
        "scores",
        "Scores by configuration",
        blocks.paragraph(
            "Every case was predicted by networks that were not trained on its patient. A Dice of 1 is perfect overlap "
            "with the reference, 0 is none."
        ),
        blocks.figure(
            [blocks.panel(_boxes(data, region, marked), region) for region in regions],
            f"Dice of every case by configuration, for {listed(regions)}: a long tail to the left means few but bad "
            f"failures. The number at the right is the mean{'; what is in the model is blue' if marked else ''}.",
            legend=blocks.legend(_KEYS),
        ),
        _differences(data),
        _table(data, regions, marked),
    )


def _boxes(data: ReportData, region: str, marked: set[str]) -> Element:
    rows = []
    for name, metrics in data.compared.items():
        values = [case.regions.get(region, {}).get("dice") for case in metrics.cases.values()]
        summary = metrics.summary.get(region, {}).get("dice", Summary(n=0))
        if summary.mean is not None:
            kept = [value for value in values if value is not None]
            rows.append(BoxRow(name, kept, (summary.mean, summary.low, summary.high), name in marked))
    told = "; ".join(f"{row.name} mean {decimal(row.mean[0])}" for row in rows)
    return box_plots(rows, Axis("Dice", 0.0, 1.0), f"Box plots of the Dice of {region}: {told}.")


def _differences(data: ReportData) -> Element | None:
    """The first configuration against each other, case by case."""
    names = list(data.compared)
    if len(names) < 2:
        return None
    first = next((name for name in names if name in data.chosen_names), names[0])
    rows: dict[str, Interval] = {}
    cases: set[int] = set()
    for name in names:
        pairs = _pairs(data.compared[name], data.compared[first]) if name != first else []
        if pairs:
            values = np.array([value for value, _ in pairs])
            rows[name] = (float(values.mean()), *bootstrap_interval(values, [patient for _, patient in pairs]))
            cases.add(len(pairs))
    if not rows:
        return None
    ends = [end for row in rows.values() for end in row if end is not None]
    axis = Axis.around(f"difference in mean Dice to {first}", [*ends, 0.0], room=0.1)
    told = "; ".join(f"{name} {decimal(row[0], signed=True)}" for name, row in rows.items())
    chart = intervals(rows, axis, f"Differences in mean Dice to {first}: {told}.", signed=True)
    number = plural(cases.pop(), "case") if len(cases) == 1 else "the cases that both have"
    return blocks.figure(
        [blocks.panel(chart)],
        f"Mean Dice of the others minus that of {first}, paired over {number}: an interval that crosses the line at 0 "
        "may be chance.",
        size="half",
    )


def _pairs(one: Metrics, other: Metrics) -> list[tuple[float, str]]:
    """(difference of the mean Dice, patient) of every case that both have."""
    pairs = []
    for name, case in one.cases.items():
        if name in other.cases:
            a, b = case.mean_dice, other.cases[name].mean_dice
            if a is not None and b is not None:
                pairs.append((a - b, case.patient))
    return pairs


def _table(data: ReportData, regions: list[str], marked: set[str]) -> Element:
    headings = [
        "configuration",
        "folds",
        "cases",
        *(f"Dice {region}" for region in regions),
        "mean Dice",
        *(f"HD95 {region}, mm" for region in regions),
    ]
    rows = [
        [
            name,
            fold_list(metrics.folds),
            count(len(metrics.cases)),
            *(blocks.summary_cell(metrics.summary.get(region, {}).get("dice")) for region in regions),
            blocks.summary_cell(metrics.mean_dice),
            *(blocks.summary_cell(metrics.summary.get(region, {}).get("hd95"), 1) for region in regions),
        ]
        for name, metrics in data.compared.items()
    ]
    return blocks.table(
        "Out-of-fold means with 95 % intervals (bootstrap by patient).",
        headings,
        rows,
        texts=(0, 1),
        marked=[index for index, name in enumerate(data.compared) if name in marked],
    )
