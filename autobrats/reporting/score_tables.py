"""Scores as tables: the distribution of every metric, and the worst cases with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autobrats.evaluation.metrics_file import CaseMetrics, Metrics
from autobrats.files import write_csv
from autobrats.reporting.tables import print_table, with_interval

FIGURES = ("n", "mean", "std", "q25", "median", "q75", "low", "high")
"""Of a metric over cases; low and high are the ends of the mean's 95 % interval."""

SHOWN = {
    **{"dice": ("Dice", 3), "hd95": ("HD95 mm", 1), "nsd": ("surface Dice", 3), "sensitivity": ("sensitivity", 3)},
    **{"precision": ("precision", 3), "volume_error_ml": ("volume error ml", 1)},
    **{"lesion_dice": ("lesion Dice", 3), "lesion_hd95": ("lesion HD95 mm", 1), "lesion_f1": ("lesion F1", 3)},
    **{"panoptic_quality": ("panoptic quality", 3)},
}
"""The metrics on the screen: heading and decimals; the files have all."""


@dataclass(frozen=True)
class PoorCase:
    """A case that was segmented poorly.

    Attributes:
        case: its name.
        dice: by region, and its mean under ``mean``.
        reason: what went wrong in the region with the lowest Dice.
    """

    case: str
    dice: dict[str, float]
    reason: str


def worst_cases(metrics: Metrics, most: int, reasons: Mapping[str, str] | None = None) -> list[PoorCase]:
    """The cases of the lowest mean Dice over the regions, worst first (Tweedy, 2021, lists them so).

    Args:
        reasons: by case, where the reason is known (there was no prediction) and not read from the scores.
    """
    known = reasons or {}
    scored = [(of.mean_dice, name) for name, of in metrics.cases.items() if of.mean_dice is not None]
    return [_poor_case(name, metrics.cases[name], known.get(name)) for _, name in sorted(scored)[:most]]


def print_distributions(metrics: Metrics, *, title: str = "") -> None:
    """A line a metric and region: cases, mean with its 95 % interval, standard deviation, median and quartiles."""
    rows = []
    for metric, (heading, digits) in SHOWN.items():
        for region, summaries in metrics.summary.items():
            summary = summaries.get(metric)
            if summary is None:
                continue
            spread = [
                None if value is None else f"{value:.{digits}f}"
                for value in (summary.std, summary.q25, summary.median, summary.q75)
            ]
            rows.append([heading, region, summary.n, with_interval(summary, digits), *spread])
    columns = ["metric", "region", "cases", "mean (95 % interval)", "std", "25 %", "median", "75 %"]
    print_table(columns, rows, title=title)


def print_worst_cases(metrics: Metrics, most: int, reasons: Mapping[str, str] | None = None) -> None:
    """The cases of the lowest mean Dice, with Dice by region and the reason."""
    worst = worst_cases(metrics, most, reasons)
    columns = list(worst[0].dice) if worst else []
    rows = [[poor.case, *(_decimals(poor.dice.get(column)) for column in columns), poor.reason] for poor in worst]
    print_table(["case", *columns, "reason"], rows, title="The worst cases, by Dice")


def write_case_table(file: Path, metrics: Metrics) -> None:
    """Write a line a case and region: case, region, dice, hd95, then every other metric; empty where there is no value."""
    scored = [scores for case in metrics.cases.values() for scores in case.regions.values()]
    named = dict.fromkeys(metric for scores in scored for metric in scores)
    columns = sorted(named, key=lambda metric: {"dice": 0, "hd95": 1}.get(metric, 2))
    lines = [
        [name, region, *("" if scores.get(metric) is None else scores[metric] for metric in columns)]
        for name, case in metrics.cases.items()
        for region, scores in case.regions.items()
    ]
    write_csv(file, ["case", "region", *columns], lines)


def write_score_tables(folder: Path, metrics: Metrics, reasons: Mapping[str, str] | None = None) -> None:
    """Write ``scores.csv`` (a line a region and metric) and ``worst_cases.csv`` (a line a case, worst first)."""
    lines = [
        [region, metric, *(_shown(getattr(summary, figure)) for figure in FIGURES)]
        for region, summaries in metrics.summary.items()
        for metric, summary in summaries.items()
    ]
    write_csv(folder / "scores.csv", ["region", "metric", *FIGURES], lines)
    worst = worst_cases(metrics, len(metrics.cases), reasons)
    columns = list(worst[0].dice) if worst else []
    write_csv(
        folder / "worst_cases.csv",
        ["case", *columns, "reason"],
        [[poor.case, *(_shown(poor.dice.get(column)) for column in columns), poor.reason] for poor in worst],
    )


def _poor_case(name: str, case: CaseMetrics, reason: str | None) -> PoorCase:
    dice = {region: values["dice"] for region, values in case.regions.items()}
    known = {region: value for region, value in dice.items() if value is not None}
    lowest = min(known, key=known.__getitem__)
    mean = case.mean_dice
    assert mean is not None
    return PoorCase(name, {**known, "mean": mean}, reason or _reason(lowest, case.regions[lowest]))


def _reason(region: str, values: dict[str, float | None]) -> str:
    predicted, true = values.get("volume_ml") or 0.0, values.get("reference_volume_ml") or 0.0
    if not true and not predicted:
        return f"{region} is absent, as predicted"
    if not true:
        return f"the reference has no {region}, and {predicted:.2g} ml were predicted"
    if not predicted:
        return f"the reference has {true:.2g} ml of {region}, and none was predicted"
    sensitivity, precision = values.get("sensitivity") or 0.0, values.get("precision") or 0.0
    if sensitivity < 0.5 <= precision:
        return f"most of {region} was missed: {predicted:.2g} ml of {true:.2g} ml"
    if precision < 0.5 <= sensitivity:
        return f"most of what was called {region} is not: {predicted:.2g} ml for {true:.2g} ml"
    return f"{region} lies elsewhere or its border differs: {predicted:.2g} ml for {true:.2g} ml"


def _shown(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.5g}"


def _decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
