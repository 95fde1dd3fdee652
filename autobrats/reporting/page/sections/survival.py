"""How long patients live, and how well that was predicted."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from autobrats.evaluation.survival.calibration import Calibration, calibrate
from autobrats.evaluation.survival.censoring import Censoring
from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.kaplan_meier import SurvivalCurve, kaplan_meier, separation_p
from autobrats.evaluation.survival.portal import CLASSES
from autobrats.evaluation.survival.scores import LAST_DAYS
from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.importance_bars import Importance, importance_bars
from autobrats.reporting.page.charts.kaplan_meier import kaplan_meier_curves
from autobrats.reporting.page.charts.predicted_days import Lived, longest_axis, predicted_days
from autobrats.reporting.page.charts.survival_calibration import survival_calibration
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import MISSING, count, decimal, listed, percent, plural, spread, with_interval
from autobrats.reporting.page.survival_data import ModelScores, SurvivalStory
from autobrats.reporting.survival_names import MODEL_METRICS, SHOWN

SECTION = "survival"
KEY_METRICS = ("c_harrell", "accuracy", "spearman_r")
IMPORTANCES_SHOWN = 12

_STYLES = {"short": 1, "mid": 4, "long": 0}
_DAYS = {"short": "less than 300 days", "mid": "300 to 450 days", "long": "more than 450 days"}


def the_survival(story: SurvivalStory | None) -> Element | None:
    """What was chosen first, then the scores of everything that was tried, then the predictions and what drives them."""
    if story is None:
        return None
    return blocks.section(
        SECTION,
        "Survival",
        [blocks.paragraph(text, class_=None if index else "lead") for index, text in enumerate(story.chosen)],
        _key_numbers(story),
        _table(story),
        [blocks.paragraph(sentence) for sentence in story.null_checks],
        _curves(story),
        _predicted(story),
        _calibration(story),
        _importances(story),
        [blocks.paragraph(sentence) for sentence in story.notes],
    )


def _key_numbers(story: SurvivalStory) -> Element | None:
    """Of the model that was chosen, else of the first."""
    if not story.models:
        return None
    chosen = next((model for model in story.models if model.chosen), story.models[0])
    numbers = []
    for metric in KEY_METRICS:
        score = chosen.nested.get(metric)
        if score is not None and score.value is not None:
            heading, digits = SHOWN[metric]
            between = spread(score.low, score.high, digits)
            note = f"95 % interval {between}" if between else plural(score.patients, "patient")
            numbers.append((heading, decimal(score.value, digits), note))
    return blocks.key_numbers(numbers) if numbers else None


def _table(story: SurvivalStory) -> Element | None:
    if not story.models:
        return None
    shown = [metric for metric in MODEL_METRICS if any(metric in model.nested for model in story.models)]
    trained = any(model.training for model in story.models)
    counted = any(model.features is not None for model in story.models)
    rows = [
        [
            f"{model.name}{', chosen' if model.chosen else ''}",
            *([MISSING if model.features is None else count(model.features)] if counted else []),
            *(_cell(model, metric) for metric in shown),
        ]
        for model in story.models
    ]
    caption = " ".join(
        [
            story.how_estimated or "Scores on patients that the models had not seen.",
            "With 95 % intervals. Accuracy, errors (days²) and SpearmanR are those of the BraTS portal, over those who "
            "died; C-index and SpearmanR are means over the folds.",
            *(["The lowest line of a cell is the score on the training patients, which flatters."] if trained else []),
        ]
    )
    return blocks.table(
        caption,
        ["model", *(["features"] if counted else []), *(SHOWN[metric][0].partition(",")[0] for metric in shown)],
        rows,
        marked=[index for index, model in enumerate(story.models) if model.chosen],
    )


def _cell(model: ModelScores, metric: str) -> blocks.Cell:
    score, training = model.nested.get(metric, Score()), model.training.get(metric, Score())
    if score.value is None and training.value is None:
        return MISSING
    digits = SHOWN[metric][1]
    lines: list[Element] = []
    if score.value is not None and (between := _between(score, digits)):
        lines.append(element("span", between, class_="note"))
    if training.value is not None:
        lines.append(element("span", f"training {_number(training.value, digits)}", class_="note"))
    return element("span", _number(score.value, digits), [part for line in lines for part in (" ", line)])


def _number(value: float | None, digits: int) -> str:
    return count(round(value)) if value is not None and not digits else decimal(value, digits)


def _between(score: Score, digits: int) -> str:
    if digits or score.low is None or score.high is None:
        return spread(score.low, score.high, digits)
    return f"{count(round(score.low))}–{count(round(score.high))}"


def _curves(story: SurvivalStory) -> Element | None:
    curves = class_curves(story)
    if not curves:
        return None
    classed = [it for it in story.patients if it.predicted_class is not None]
    p = separation_p(
        np.array([it.days for it in classed]),
        np.array([it.died for it in classed], bool),
        [str(it.predicted_class) for it in classed],
    )
    medians = [
        f"{name} {'not reached' if (median := curve.median_days()) is None else f'{median:.0f} days'}"
        for name, curve in curves.items()
    ]
    tested = "" if p is None else f" Log-rank test of no difference between the classes: p {_p_value(p)}."
    keys = [
        Key("line", f"s{_STYLES[name]}", f"predicted {name}, {_DAYS[name]} ({plural(curve.patients, 'patient')})")
        for name, curve in curves.items()
    ]
    return blocks.figure(
        [blocks.panel(kaplan_meier_curves(curves, _STYLES, "days"))],
        "Kaplan-Meier survival by predicted class, with pointwise 95 % intervals; a tick is a patient who was alive when "
        f"last seen. Median survival: {'; '.join(medians)}.{tested}",
        size="half",
        legend=blocks.legend(keys),
    )


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def class_curves(story: SurvivalStory) -> dict[str, SurvivalCurve]:
    """The Kaplan-Meier curve of the patients of each predicted class, short first."""
    days, died = story.days, story.died
    curves = {}
    for name in CLASSES:
        members = np.array([it.predicted_class == name for it in story.patients], bool)
        if members.any():
            curves[str(name)] = kaplan_meier(days[members], died[members])
    return curves


def _predicted(story: SurvivalStory) -> Element | None:
    lived = [Lived(it.days, it.died, it.predicted_days) for it in story.patients if it.predicted_days is not None]
    if not lived:
        return None
    keys = [
        Key("dot", "cases", "a patient who died"),
        Key("line", "border", "borders of the classes: 300 and 450 days"),
    ]
    if any(not it.died for it in lived):
        keys.insert(1, Key("arrow", "alive", "alive when last seen: lived at least so long"))
    return blocks.figure(
        [blocks.panel(predicted_days(lived))],
        "Predicted against true days: on the diagonal both are the same, within a grey square the class is right. "
        f"Predictions that flatten towards one value know little of the patient.{_beyond(lived)}{_coverage(story)}",
        size="half",
        legend=blocks.legend(keys),
    )


def _beyond(lived: list[Lived]) -> str:
    number = sum(it.predicted > longest_axis(lived) for it in lived)
    return f" {plural(number, 'prediction')} beyond the axis stand at its edge." if number else ""


def _coverage(story: SurvivalStory) -> str:
    inside = [
        it.days_low <= it.days and (it.days_high is None or it.days <= it.days_high)
        for it in story.patients
        if it.died and it.days_low is not None
    ]
    if not inside:
        return ""
    promised = "" if story.interval_share is None else f"{percent(story.interval_share)} "
    return (
        f" The {promised}prediction intervals held the day of death of {percent(float(np.mean(inside)))} of the "
        f"{plural(len(inside), 'patient')} who died."
    )


def _calibration(story: SurvivalStory) -> Element | None:
    told = calibrations(story)
    if not told:
        return None
    slopes = [
        f"after {it.day:g} days {with_interval(it.slope.value, it.slope.low, it.slope.high, 2)}"
        for it in told
        if it.slope.value is not None
    ]
    slope = (
        f" Calibration slope, 1 if right and less if predictions are too extreme: {listed(slopes)}." if slopes else ""
    )
    return blocks.figure(
        [blocks.panel(survival_calibration(it), f"Alive after {it.day:g} days") for it in told],
        "Calibration: patients in groups of similar predictions, and the share of each group that was observed to be alive "
        f"(Kaplan-Meier, 95 % interval); on the diagonal, predictions are right.{slope}",
        legend=blocks.legend([Key("diamond", "", "a group of patients")]),
    )


def calibrations(story: SurvivalStory) -> list[Calibration]:
    """Of survival after 300 and 450 days, as the probabilities of the classes predict it."""
    patients = [it for it in story.patients if it.probabilities is not None]
    if not patients:
        return []
    probabilities = np.array([it.probabilities for it in patients], np.float64)
    censoring = Censoring(np.array([it.days for it in patients]), np.array([it.died for it in patients], bool))
    return [
        calibrate(probabilities[:, place:].sum(axis=1), last, censoring).model_copy(update={"day": border})
        for place, (border, last) in enumerate(LAST_DAYS.items(), start=1)
    ]


def _importances(story: SurvivalStory) -> Element | None:
    if not story.importances:
        return None
    ordered = sorted(story.importances, key=lambda it: -it.value)
    shown = [Importance(it.feature, it.value, it.low, it.high) for it in ordered[:IMPORTANCES_SHOWN]]
    hidden = len(ordered) - len(shown)
    rest = f" {plural(hidden, 'more feature')} not shown." if hidden > 0 else ""
    return blocks.figure(
        [blocks.panel(importance_bars(shown, story.importance_unit))],
        f"What the features contribute: {shown[0].name} matters most. "
        f"The lines are one standard deviation over the shufflings.{rest}",
        size="half",
    )
