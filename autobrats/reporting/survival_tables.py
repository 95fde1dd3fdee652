"""Scores of survival as tables on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.metrics import LOWER_IS_BETTER, SURVIVAL_METRICS, SurvivalMetrics
from autobrats.evaluation.survival.portal import CLASSES, PORTAL_METRICS
from autobrats.files import write_csv
from autobrats.reporting.page.survival_data import ModelScores
from autobrats.reporting.survival_names import MODEL_METRICS, SHOWN
from autobrats.reporting.tables import print_table

SHORT_NAMES = ("accuracy", "MSE", "medianSE", "stdSE", "SpearmanR")
"""Of the portal's metrics, as the challenge and its papers write them."""


def print_portal_table(scores: Mapping[str, SurvivalMetrics], *, file: TextIO | None = None) -> None:
    """The table of the challenge's papers: a line a prediction with the portal's five metrics and their intervals."""
    rows = [
        [name, metrics.deaths, *(shown_score(metrics.scores[metric], SHOWN[metric][1]) for metric in PORTAL_METRICS)]
        for name, metrics in scores.items()
    ]
    title = "As the BraTS portal scores, over those who died (95 % interval by patient; errors in days²)"
    print_table(["predictions", "patients", *SHORT_NAMES], rows, title=title, file=file)


def print_survival_scores(metrics: SurvivalMetrics, *, file: TextIO | None = None) -> None:
    """Every other metric with its interval, on how many patients it stands, and why it is missing."""
    others = [name for name in SURVIVAL_METRICS if name not in PORTAL_METRICS]
    lines = [(SHOWN[name], metrics.scores[name]) for name in others]
    for it in metrics.calibration:
        lines.append(((f"calibration slope at {it.day:g} days", 2), it.slope))
        lines.append(((f"observed minus predicted survival at {it.day:g} days", 3), it.in_the_large))
    rows = [
        [heading, score.patients, shown_score(score, digits) or f"- ({score.reason})"]
        for (heading, digits), score in lines
    ]
    print_table(["metric", "patients", "value (95 % interval)"], rows, file=file)


def print_confusion(metrics: SurvivalMetrics, *, file: TextIO | None = None) -> None:
    """Patients by class; nothing if no classes were predicted."""
    if not metrics.confusion:
        return
    rows = [[f"was {name}", *counts, sum(counts)] for name, counts in zip(CLASSES, metrics.confusion, strict=True)]
    title = f"Classes of the {metrics.certain_classes} patients whose class is certain"
    print_table(["", *(f"predicted {name}" for name in CLASSES), "all"], rows, title=title, file=file)


def print_calibration(metrics: SurvivalMetrics, *, file: TextIO | None = None) -> None:
    """Predicted against observed survival, a line a group of patients; nothing if it was not predicted."""
    rows = [
        [
            f"{it.day:g} days",
            group.patients,
            f"{group.predicted:.2f}",
            shown_score(Score(value=group.observed, low=group.low, high=group.high), 2),
        ]
        for it in metrics.calibration
        for group in it.groups
    ]
    if rows:
        columns = ["alive after", "patients", "predicted", "observed (95 % interval)"]
        print_table(columns, rows, title="Calibration, by groups of predicted survival", file=file)


def print_differences(first: str, second: str, differences: Mapping[str, Score], *, file: TextIO | None = None) -> None:
    """A line a metric that both have: the difference, its interval, and which is better if it does not contain 0."""
    rows = [
        [
            SHOWN[name][0],
            score.patients,
            shown_score(score, SHOWN[name][1], signed=True),
            better_of(first, second, name, score) or "not clear",
        ]
        for name, score in differences.items()
        if score.value is not None
    ]
    columns = ["metric", "patients", "difference (95 % interval)", "better"]
    print_table(columns, rows, title=f"{first} minus {second}, the same patients in the same resamples", file=file)


def write_differences(file: Path, first: str, differences: Mapping[str, Mapping[str, Score]]) -> None:
    """Write a line a second prediction and metric that both have."""
    lines = [
        [
            first,
            second,
            name,
            score.patients,
            *("" if it is None else f"{it:.6g}" for it in (score.value, score.low, score.high)),
            better_of(first, second, name, score) or "",
        ]
        for second, scores in differences.items()
        for name, score in scores.items()
        if score.value is not None
    ]
    write_csv(file, ["first", "second", "metric", "patients", "difference", "low", "high", "better"], lines)


def better_of(first: str, second: str, metric: str, difference: Score) -> str | None:
    """Which of two predictions is better beyond its interval; None if 0 lies within, or the metric has no direction."""
    low, high = difference.low, difference.high
    if metric == "interval_coverage" or low is None or high is None or low <= 0 <= high:
        return None
    return first if (low > 0) != (metric in LOWER_IS_BETTER) else second


def shown_score(score: Score, digits: int, *, signed: bool = False) -> str | None:
    """``0.712 (0.650-0.771)``; None without a value."""
    if score.value is None:
        return None
    form = f"{'+' if signed else ''}.{digits}f"
    value = format(score.value, form)
    if score.low is None or score.high is None:
        return value
    to = " to " if score.low < 0 or signed else "-"
    return f"{value} ({format(score.low, form)}{to}{format(score.high, form)})"


def listed_reasons(metrics: SurvivalMetrics, names: Sequence[str] = PORTAL_METRICS) -> list[str]:
    """Why metrics are missing, each reason once."""
    return list(dict.fromkeys(score.reason for name in names if (score := metrics.scores[name]).reason))


def print_model_scores(models: Sequence[ModelScores], *, file: TextIO | None = None) -> None:
    """The tables of results of a training: nested scores, those with a bound with intervals, and the training scores beside."""
    shares = [name for name in MODEL_METRICS if SHOWN[name][1]]
    errors = [name for name in MODEL_METRICS if not SHOWN[name][1]]
    titles = (
        "On patients that the models had not seen (95 % interval by patient) [on the training patients]; * is saved",
        "The same: squared errors of those who died [on the training patients]",
    )
    for title, metrics in zip(titles, (shares, errors)):
        shown = [name for name in metrics if any(name in model.nested for model in models)]
        rows = [
            [f"{model.name}{' *' if model.chosen else ''}", *(_model_cell(model, name) for name in shown)]
            for model in models
        ]
        print_table(["model", *(SHOWN[metric][0] for metric in shown)], rows, title=title, file=file)
        print(file=file)


def _model_cell(model: ModelScores, metric: str) -> str:
    digits = SHOWN[metric][1]
    nested, training = model.nested.get(metric, Score()), model.training.get(metric, Score())
    told = shown_score(nested if digits else nested.model_copy(update={"low": None, "high": None}), digits) or "-"
    return told if training.value is None else f"{told} [{training.value:.{digits}f}]"
