"""How the trainings went, and who left the race."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.curves import STYLES, curves
from autobrats.reporting.page.charts.plot import Axis, Point
from autobrats.reporting.page.data import RaceRow, ReportData
from autobrats.reporting.page.numbers import MISSING, decimal

Records = Sequence[Mapping[str, Any]]


def the_training(data: ReportData) -> Element | None:
    """Loss and quick Dice by configuration, a line a fold; and the table of the race."""
    histories = {
        name: {fold: records for fold, records in folds.items() if records} for name, folds in data.histories.items()
    }
    histories = {name: folds for name, folds in histories.items() if folds}
    if not histories and not data.race:
        return None
    return blocks.section("training", "Training", _figures(histories), _race(data.race))


def _figures(histories: Mapping[str, Mapping[str, Records]]) -> list[Element]:
    if not histories:
        return []
    # A fold keeps its style in every panel.
    folds = sorted({fold for runs in histories.values() for fold in runs})
    legend = blocks.legend([Key("line", f"s{index % STYLES}", f"fold {fold}") for index, fold in enumerate(folds)])
    losses, dices = [], []
    for name, runs in histories.items():
        loss = {fold: _points(runs.get(fold, ()), _loss) for fold in folds}
        if any(loss.values()):
            axis = Axis.around("training loss", [value for points in loss.values() for _, value in points])
            losses.append(blocks.panel(curves(loss, _x_label(runs), axis, f"Training loss of {name}."), name))
        dice = {fold: _points(runs.get(fold, ()), _mean_quick_dice) for fold in folds}
        if any(dice.values()):
            axis = Axis("Dice of validation patches", 0.0, 1.0)
            last = ", ".join(f"fold {fold} {decimal(points[-1][1])}" for fold, points in dice.items() if points)
            dices.append(blocks.panel(curves(dice, _x_label(runs), axis, f"Dice of {name}, last: {last}."), name))
    parts = []
    if losses:
        caption = (
            "Training loss by configuration and fold: it should fall and level off. Configurations have losses of their "
            "own, which cannot be compared with each other."
        )
        parts.append(blocks.figure(losses, caption, legend=legend))
    if dices:
        caption = (
            "Mean Dice over regions of a few validation patches after each epoch: a curve that still rises at its end "
            "would gain from a longer training. These are quick checks and not the scores above."
        )
        parts.append(blocks.figure(dices, caption, legend=legend))
    return parts


def _points(records: Records, value_of: Any) -> list[Point]:
    """(iteration or epoch, value) of the records that have the value."""
    points = []
    for index, record in enumerate(records):
        value = value_of(record)
        step = record.get("iteration")
        if value is not None and math.isfinite(value):
            points.append((float(index + 1 if step is None else step), float(value)))
    return points


def _loss(record: Mapping[str, Any]) -> float | None:
    return record.get("loss")


def _mean_quick_dice(record: Mapping[str, Any]) -> float | None:
    values = [value for value in (record.get("quick_dice") or {}).values() if value is not None]
    return sum(values) / len(values) if values else None


def _x_label(runs: Mapping[str, Records]) -> str:
    return "iteration" if all("iteration" in records[0] for records in runs.values()) else "epoch"


def _race(rows: Sequence[RaceRow]) -> Element | None:
    if not rows:
        return None
    rungs = list(dict.fromkeys(rung for row in rows for rung in row.scores_by_rung))
    cells = [
        [
            row.configuration,
            *(decimal(row.scores_by_rung[rung]) if rung in row.scores_by_rung else MISSING for rung in rungs),
            row.state,
            row.reason,
        ]
        for row in rows
    ]
    return blocks.table(
        "The race of the configurations: mean Dice of validation patches at each checkpoint, and who left when and why.",
        ["configuration", *rungs, "outcome", "why"],
        cells,
        texts=(0, len(rungs) + 1, len(rungs) + 2),
    )
