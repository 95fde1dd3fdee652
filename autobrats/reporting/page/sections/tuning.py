"""How the tuning went, and whether it helped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.rows import bars
from autobrats.reporting.page.charts.search import pareto_front, trial_history
from autobrats.reporting.page.data import ReportData, TrialPoint, TuningStory
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import MISSING, decimal, plural, significant, with_interval

BEST_SHOWN = 8
IMPORTANCES_SHOWN = 8


def the_tuning(data: ReportData) -> Element | None:
    """The verdict first, then the search."""
    story = data.tuning
    if story is None:
        return None
    return blocks.section(
        "tuning",
        "Tuning",
        blocks.paragraph(story.sentence, class_="lead"),
        _gain(story),
        _search(story),
        _importances(story),
        _front(story),
        _best_trials(story),
    )


def _gain(story: TuningStory) -> Element | None:
    if story.gain is None:
        return None
    return blocks.paragraph(
        f"Tuned minus default, on patients that the tuning did not see: {with_interval(*story.gain, 4, signed=True)} "
        f"in {story.objective}, with its 95 % interval."
    )


def _search(story: TuningStory) -> Element | None:
    chart = trial_history(story) if len(story.trials) > 1 else None
    if chart is None:
        return None
    pruned = sum(trial.state != "complete" for trial in story.trials)
    keys = [Key("dot", "filled", "a trial"), Key("line", "s0", "the best so far")]
    if pruned:
        keys.insert(1, Key("cross", "faint", f"ended early ({pruned})"))
    if story.default_value is not None:
        keys.append(Key("line", "limit", "the untuned default, trial 0"))
    better = "higher" if story.direction == "maximize" else "lower"
    return blocks.figure(
        [blocks.panel(chart)],
        f"Objective ({story.objective}, {better} is better) of {plural(len(story.trials), 'trial')}: when the line of the "
        "best has long been flat, more trials would not help. Trials beyond the axis are drawn at its edge.",
        size="half",
        legend=blocks.legend(keys),
    )


def _importances(story: TuningStory) -> Element | None:
    if not story.importances:
        return None
    ordered = sorted(story.importances.items(), key=lambda item: -item[1])
    shown = {name.replace("_", " "): share for name, share in ordered[:IMPORTANCES_SHOWN]}
    hidden = len(ordered) - len(shown)
    rest = f" {plural(hidden, 'more parameter')} not shown." if hidden > 0 else ""
    told = "; ".join(f"{name} {100 * share:.0f} %" for name, share in shown.items())
    return blocks.figure(
        [blocks.panel(bars(shown, "share of the objective's variance, %", f"Parameter importances: {told}."))],
        f"How much of the variance of {story.objective} each parameter explains: {next(iter(shown))} matters most.{rest}",
        size="half",
    )


def _front(story: TuningStory) -> Element | None:
    chart = pareto_front(story)
    if chart is None:
        return None
    return blocks.figure(
        [blocks.panel(chart)],
        f"Every trial by {story.metric_names[0]} and {story.metric_names[1]}: no trial beats one on the line in both.",
        size="half",
        legend=blocks.legend(
            [
                Key("dot", "filled", "a trial"),
                Key("dot", "s0", "on the Pareto front"),
                Key("diamond", "", "the untuned default"),
            ]
        ),
    )


def _best_trials(story: TuningStory) -> Element | None:
    complete = [trial for trial in story.trials if trial.state == "complete" and trial.value is not None]
    if not complete:
        return None
    sign = -1 if story.direction == "maximize" else 1
    best = sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))[:BEST_SHOWN]
    default = [trial for trial in complete if trial.number == 0 and trial not in best]
    shown = [*best, *default]
    names = _names(shown, story)
    headings = ["trial", story.objective, "against the default", *(name.replace("_", " ") for name in names)]
    rows = [_row(trial, names, story.default_value) for trial in shown]
    marked = [index for index, trial in enumerate(shown) if trial.number == 0]
    caption = f"The best of {plural(len(complete), 'complete trial')}; trial 0 is the untuned default."
    return blocks.table(caption, headings, rows, marked=marked, texts=())


def _row(trial: TrialPoint, names: Sequence[str], default: float | None) -> list[Element | str]:
    value = trial.value or 0.0
    against = MISSING if default is None else decimal(value - default, 4, signed=True)
    label: Element | str = element("span", "0 (default)") if trial.number == 0 else str(trial.number)
    return [label, decimal(value, 4), against, *(_value(trial.params.get(name)) for name in names)]


def _names(trials: Sequence[TrialPoint], story: TuningStory) -> list[str]:
    """Of the parameters, the most important first."""
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    return sorted(names, key=lambda name: -story.importances.get(name, 0.0))


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return significant(value) if isinstance(value, float) else str(value)
