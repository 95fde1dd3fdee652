"""What the model is, what to expect of it on new patients, and what it costs."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.summary import Summary
from autobrats.reporting.page import blocks
from autobrats.reporting.page.data import Cost, ReportData
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import MISSING, count, decimal, plural, significant, spread

METRICS = {
    "dice": ("Dice", 3),
    "iou": ("IoU", 3),
    "hd95": ("HD95, mm", 1),
    "nsd": ("surface Dice", 3),
    "lesion_dice": ("lesion-wise Dice", 3),
    "lesion_hd95": ("lesion-wise HD95, mm", 1),
    "lesion_f1": ("lesion F1", 3),
    "panoptic_quality": ("panoptic quality", 3),
    "sensitivity": ("sensitivity", 3),
    "precision": ("precision", 3),
    "volume_error_ml": ("volume error, ml", 1),
}
"""Metrics that are shown where they were measured: heading with unit, and decimals."""
LONG_NAMES = {
    "WT": "Whole tumour (WT)",
    "TC": "Tumour core (TC)",
    "ET": "Enhancing tumour (ET)",
    "RC": "Resection cavity (RC)",
}


def the_model(data: ReportData) -> Element:
    """The first section: it is never left out."""
    return blocks.section(
        "model",
        "The model, and what to expect of it",
        [
            blocks.paragraph(sentence, class_="lead" if not index else None)
            for index, sentence in enumerate(data.chosen)
        ],
        _expected(data),
        _cost(data.cost),
    )


def _expected(data: ReportData) -> list[Element]:
    if data.expected is None:
        return [blocks.paragraph(data.expected_note)] if data.expected_note else []
    scores = data.expected
    regions = [
        (f"{LONG_NAMES.get(region, region)}, Dice", *_mean(summaries.get("dice")))
        for region, summaries in scores.summary.items()
    ]
    overall = [("Mean of the regions, Dice", *_mean(scores.mean_dice))] if len(regions) > 1 else []
    patients = len({case.patient for case in scores.cases.values()})
    told = (
        f"Expected on new patients, estimated on {plural(len(scores.cases), 'case')} of {plural(patients, 'patient')}."
    )
    parts = [element("h3", "Expected on new patients"), blocks.key_numbers([*regions, *overall])]
    if data.expected_note:
        parts.append(blocks.paragraph(data.expected_note))
    return [*parts, _table(scores, told)]


def _mean(summary: Summary | None) -> tuple[str, str]:
    if summary is None or summary.mean is None:
        return MISSING, "not measured"
    between = spread(summary.low, summary.high)
    return decimal(summary.mean), f"95 % interval {between}" if between else "one patient: no interval"


def _table(scores: Metrics, told: str) -> Element:
    present = list(dict.fromkeys(metric for summaries in scores.summary.values() for metric in summaries))
    shown = [metric for metric in METRICS if metric in present and metric != "iou"]
    headings = ["region", "cases", *(METRICS[metric][0] for metric in shown), "median Dice (quartiles)"]
    rows = []
    for region, summaries in scores.summary.items():
        cells = [blocks.summary_cell(summaries.get(metric), METRICS[metric][1]) for metric in shown]
        dice = summaries.get("dice")
        rows.append([region, count(dice.n if dice else 0), *cells, _median(dice)])
    return blocks.table(f"{told} Means with 95 % intervals by patient.", headings, rows)


def _median(dice: Summary | None) -> blocks.Cell:
    if dice is None or dice.median is None:
        return MISSING
    return blocks.estimate(dice.median, dice.q25, dice.q75)


def _cost(cost: Cost | None) -> list[Element]:
    if cost is None:
        return []
    numbers = [("Time", f"{significant(cost.seconds_per_case, 2)} s", "a case, on this machine")]
    if cost.memory_gib is not None:
        numbers.append(("Memory", f"{significant(cost.memory_gib, 2)} GiB", "at its peak"))
    numbers.append(("Networks", count(cost.networks), "averaged" if cost.networks > 1 else "alone"))
    return [element("h3", "What a prediction costs"), blocks.key_numbers(numbers)]
