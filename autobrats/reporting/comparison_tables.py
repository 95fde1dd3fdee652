"""Comparisons and rankings of several sets of predictions as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from autobrats.evaluation.comparison import PairedDifference
from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.ranking import Ranking
from autobrats.files import write_csv, write_json
from autobrats.reporting.score_tables import SHOWN
from autobrats.reporting.tables import print_table, with_interval

_FIGURES = ("first", "second", "region", "metric", "cases", "mean", "low", "high", "p", "p_holm", "better")


def print_means(sets: Sequence[Metrics], metrics: Sequence[str]) -> None:
    """The means of every set with their intervals, a line a metric and region."""
    rows = [
        [
            _heading(metric),
            region,
            *(with_interval(of.summary.get(region, {}).get(metric), _digits(metric)) for of in sets),
        ]
        for metric in metrics
        for region in sets[0].summary
    ]
    print_table(
        ["metric", "region", *(of.configuration for of in sets)], rows, title="Means (95 % interval by patient)"
    )


def print_comparison(differences: Sequence[PairedDifference]) -> None:
    """A table for every second set: a line a region and metric with the mean difference, its interval and p values."""
    for first, second in dict.fromkeys((it.first, it.second) for it in differences):
        rows = [
            [
                _heading(it.metric),
                it.region,
                it.cases,
                _with_interval(it.mean, it.low, it.high, _digits(it.metric) + 1),
                p_value(it.p),
                p_value(it.p_holm),
                it.better or "not clear",
            ]
            for it in differences
            if (it.first, it.second) == (first, second)
        ]
        columns = ["metric", "region", "cases", "mean difference (95 % interval)", "p", "p Holm", "better"]
        print_table(columns, rows, title=f"\n{first} minus {second}, case by case")


def write_comparison(file: Path, differences: Sequence[PairedDifference]) -> None:
    """Write a line a second set, region and metric."""
    lines = [[_shown(getattr(it, figure)) for figure in _FIGURES] for it in differences]
    write_csv(file, _FIGURES, lines)


def print_ranking(ranking: Ranking) -> None:
    """A line a competitor, the best first: its mean rank and the p value of being ahead of the next."""
    names = [competitor.name for competitor in ranking.competitors]
    tests = [ranking.test_of(one, other) for one, other in pairwise(names)]
    rows = [
        [
            competitor.place,
            competitor.name,
            _with_interval(competitor.rank_score, competitor.low, competitor.high, 3),
            p_value(test.p) if test else None,
            p_value(test.p_holm) if test else None,
        ]
        for competitor, test in zip(ranking.competitors, [*tests, None], strict=True)
    ]
    metrics = ", ".join(map(_heading, ranking.metrics))
    title = f"\nRanking over {ranking.cases} cases by {metrics} in {', '.join(ranking.regions)}"
    columns = ["place", "predictions", "mean rank (95 % interval)", "p against the next", "p Holm"]
    print_table(columns, rows, title=title)


def write_ranking(folder: Path, ranking: Ranking) -> None:
    """Write ``ranking.json`` and ``ranking.csv``: a line a competitor, with the p value against every other."""
    write_json(folder / "ranking.json", ranking)
    names = [competitor.name for competitor in ranking.competitors]
    lines = [
        [
            competitor.place,
            competitor.name,
            *map(_shown, (competitor.rank_score, competitor.low, competitor.high)),
            *("" if other == competitor.name else _shown(ranking.test_of(competitor.name, other).p) for other in names),
        ]
        for competitor in ranking.competitors
    ]
    columns = ["place", "predictions", "rank_score", "low", "high", *(f"p against {name}" for name in names)]
    write_csv(folder / "ranking.csv", columns, lines)


def p_value(p: float | None) -> str | None:
    """A p value for people: three decimals, or ``<0.001``."""
    if p is None:
        return None
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _heading(metric: str) -> str:
    return SHOWN.get(metric, (metric, 3))[0]


def _digits(metric: str) -> int:
    return SHOWN.get(metric, (metric, 3))[1]


def _with_interval(mean: float | None, low: float | None, high: float | None, digits: int) -> str | None:
    if mean is None:
        return None
    if low is None or high is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
