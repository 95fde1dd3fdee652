"""Charts of a search: its trials in order, its Pareto front, and the ensembles it grew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from autobrats.reporting.page.charts.plot import Axis, Plot, Point
from autobrats.reporting.page.data import CurvePoint, TrialPoint, TuningStory
from autobrats.reporting.page.numbers import decimal, with_interval


def trial_history(story: TuningStory) -> Element | None:
    """The objective of every trial, the best so far, and the default's; None if no trial has a value.

    Trials far below the rest would flatten everything else: the axis starts at the worst of the better three quarters,
    and what lies beyond is drawn at its edge.
    """
    shown = [trial for trial in story.trials if trial.value is not None and math.isfinite(trial.value)]
    if not shown:
        return None
    sign = 1 if story.direction == "maximize" else -1
    complete = [trial for trial in shown if trial.state == "complete"] or shown
    values = sorted((trial.value or 0.0 for trial in complete), key=lambda value: -sign * value)
    better = values[: max(1, math.ceil(0.75 * len(values)))]
    default = [] if story.default_value is None else [story.default_value]
    y = Axis.around(story.objective, [*better, *default], room=0.12)
    last = max(trial.number for trial in shown)
    plot = Plot(Axis("trial", 0.0, float(max(1, last))), y, whole_x=True)

    def place(trial: TrialPoint) -> Point:
        return trial.number, min(max(trial.value or 0.0, y.low), y.high)

    plot.dots([place(trial) for trial in shown if trial.state == "complete"], "trials")
    plot.crosses([place(trial) for trial in shown if trial.state != "complete"], "faint")
    plot.steps(_best_so_far(complete, sign), last, "s0")
    if default:
        plot.line([(0, default[0]), (max(1, last), default[0])], "limit")
    best = values[0]
    told = f"; the untuned default has {decimal(default[0], 4)}" if default else ""
    return plot.to_svg(f"{story.objective} of {len(shown)} trials in order: the best reaches {decimal(best, 4)}{told}.")


def pareto_front(story: TuningStory) -> Element | None:
    """All trials in the plane of the first two objectives, and the front that none of them beats."""
    if not story.pareto or len(story.metric_names) < 2:
        return None
    every = [trial.values for trial in story.trials if len(trial.values) > 1]
    front = sorted((trial.values[0], trial.values[1]) for trial in story.pareto if len(trial.values) > 1)
    if not front:
        return None
    everywhere = [*every, *front]
    plot = Plot(
        Axis.around(story.metric_names[0], [values[0] for values in everywhere]),
        Axis.around(story.metric_names[1], [values[1] for values in everywhere]),
    )
    plot.dots([(values[0], values[1]) for values in every], "trials")
    plot.line(front, "s0")
    for point in front:
        plot.marker(*point, "circle", "mark s0")
    default = next((trial.values for trial in story.trials if trial.number == 0 and len(trial.values) > 1), None)
    if default:
        plot.marker(default[0], default[1], "diamond", "mean", "the untuned default")
    return plot.to_svg(
        f"{story.metric_names[1]} over {story.metric_names[0]}: {len(front)} of {len(every)} trials lie on the front."
    )


def cost_curve(points: Sequence[CurvePoint], label: str) -> Element:
    """Score over cost, numbered in order, with intervals; the chosen ensemble is a filled diamond."""
    ends = [end for point in points for end in (point.score, point.low, point.high) if end is not None]
    seconds = [point.seconds_per_case for point in points]
    plot = Plot(
        Axis.around("seconds a case", [0.0, *seconds], room=0.08, least=0.0), Axis.around(label, ends, room=0.12)
    )
    plot.line(sorted((point.seconds_per_case, point.score) for point in points), "faint thin")
    for number, point in enumerate(points, start=1):
        x, y = point.seconds_per_case, point.score
        if point.low is not None and point.high is not None:
            plot.line([(x, point.low), (x, point.high)], "s0" if point.chosen else "faint")
        told = f"{point.label}: {with_interval(y, point.low, point.high)}, {decimal(x, 2)} s"
        plot.marker(x, y, "diamond" if point.chosen else "circle", "mean" if point.chosen else "mark plain", told)
        plot.text(x, y, str(number), "marked" if point.chosen else "", dx=8, dy=-6)
    chosen = next((point for point in points if point.chosen), None)
    told = (
        f"; chosen: {chosen.label}, {decimal(chosen.score)} at {decimal(chosen.seconds_per_case, 2)} s"
        if chosen
        else ""
    )
    return plot.to_svg(f"{label} over seconds a case for {len(points)} ensembles{told}.")


def _best_so_far(trials: Sequence[TrialPoint], sign: int) -> list[Point]:
    """(trial, value) wherever the best improves."""
    best: list[Point] = []
    for trial in trials:
        value = trial.value or 0.0
        if not best or sign * value > sign * best[-1][1]:
            best.append((trial.number, value))
    return best
