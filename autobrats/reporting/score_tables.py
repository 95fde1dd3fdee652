"""Scores as tables: the distribution of every metric, and the worst cases with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autobrats.evaluation.metrics_file import CaseMetrics, Metrics
from autobrats.files import write_csv

FIGURES = ("n", "mean", "std", "q25", "median", "q75", "low", "high")
"""Of a metric over cases; low and high are the ends of the mean's 95 % interval."""


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


def worst_cases(metrics: Metrics, most: int) -> list[PoorCase]:
    """The cases of the lowest mean Dice over the regions, worst first (Tweedy, 2021, lists them so)."""
    scored = [(of.mean_dice, name) for name, of in metrics.cases.items() if of.mean_dice is not None]
    return [_poor_case(name, metrics.cases[name]) for _, name in sorted(scored)[:most]]


def write_score_tables(folder: Path, metrics: Metrics) -> None:
    """Write ``scores.csv`` (a line a region and metric) and ``worst_cases.csv`` (a line a case, worst first)."""
    lines = [
        [region, metric, *(_shown(getattr(summary, figure)) for figure in FIGURES)]
        for region, summaries in metrics.summary.items()
        for metric, summary in summaries.items()
    ]
    write_csv(folder / "scores.csv", ["region", "metric", *FIGURES], lines)
    worst = worst_cases(metrics, len(metrics.cases))
    columns = list(worst[0].dice) if worst else []
    write_csv(
        folder / "worst_cases.csv",
        ["case", *columns, "reason"],
        [[poor.case, *(_shown(poor.dice.get(column)) for column in columns), poor.reason] for poor in worst],
    )


def _poor_case(name: str, case: CaseMetrics) -> PoorCase:
    dice = {region: values["dice"] for region, values in case.regions.items()}
    known = {region: value for region, value in dice.items() if value is not None}
    lowest = min(known, key=known.__getitem__)
    mean = case.mean_dice
    assert mean is not None
    return PoorCase(name, {**known, "mean": mean}, _reason(lowest, case.regions[lowest]))


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
