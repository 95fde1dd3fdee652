"""Charts put marks where the numbers say."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from autobrats.reporting.page.charts.bland_altman import Agreement, bland_altman
from autobrats.reporting.page.charts.curves import curves
from autobrats.reporting.page.charts.plot import Axis, Plot, tick_texts
from autobrats.reporting.page.charts.rows import Box, BoxRow, bars, box_plots
from autobrats.reporting.page.charts.search import cost_curve, trial_history
from autobrats.reporting.page.data import CurvePoint, TrialPoint, TuningStory
from autobrats.reporting.page.markup import element, to_html
from autobrats.reporting.page.numbers import count, decimal, percent, significant, spread, with_interval


def of_class(drawing: Element, name: str) -> list[Element]:
    return [it for it in drawing.iter() if name in (it.get("class") or "").split()]


def numbers(path: Element) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", path.get("d") or "")]


def test_a_box_has_quartiles_and_whiskers_within_one_and_a_half_lengths() -> None:
    # 1..9 and an outlier: quartiles of ten values by linear interpolation are 3.25, 5.5 and 7.75; reach 6.75.
    assert Box.of([1, 2, 3, 4, 5, 6, 7, 8, 9, 40]) == Box(3.25, 5.5, 7.75, 1, 9)
    assert Box.of([0.5]) == Box(0.5, 0.5, 0.5, 0.5, 0.5)


def test_a_box_plot_is_drawn_to_scale() -> None:
    values = [0.2, 0.4, 0.5, 0.6, 0.8]
    drawing = box_plots([BoxRow("one", values, (0.5, 0.45, 0.55))], Axis("Dice", 0.0, 1.0), "boxes")
    assert drawing.get("aria-label") == "boxes"
    plot = Plot(Axis("Dice", 0.0, 1.0), None, width=340.0)
    box = next(it for it in of_class(drawing, "box"))
    left, width = float(box.get("x") or 0), float(box.get("width") or 0)
    assert left == pytest.approx(plot.at(0.4, 0)[0], abs=0.01)
    assert left + width == pytest.approx(plot.at(0.6, 0)[0], abs=0.02)
    assert numbers(of_class(drawing, "median")[0])[0] == pytest.approx(plot.at(0.5, 0)[0], abs=0.06)
    dots = re.findall(r"M(\S+) \S+h0", of_class(drawing, "dots")[0].get("d") or "")
    assert [float(x) for x in dots] == pytest.approx([plot.at(value, 0)[0] for value in values], abs=0.06)
    assert numbers(of_class(drawing, "interval")[0])[0] == pytest.approx(plot.at(0.45, 0)[0], abs=0.06)


def test_the_limits_of_agreement_are_those_of_bland_and_altman() -> None:
    # Peak expiratory flow by two meters in 17 subjects (Bland and Altman, 1986, table 1): the mean difference is
    # -2.1 l/min and its standard deviation 38.8; they round the limits to mean +- 2 s, here it is 1.96 s.
    wright = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    subjects = [str(number) for number in range(17)]
    agreement = Agreement.of(subjects, subjects, wright, mini)
    assert agreement.bias[0] == pytest.approx(-2.1, abs=0.05)
    assert (agreement.high - agreement.low) / (2 * 1.96) == pytest.approx(38.8, abs=0.05)
    assert agreement.middles[0] == 503 and agreement.differences[0] == -18
    assert agreement.bias[1] is not None and agreement.bias[1] < -2.1 < agreement.bias[2]
    assert agreement.outside == pytest.approx(1 / 17)  # the subject with 178 and 259


def test_cases_beyond_the_limits_are_named() -> None:
    reference = np.linspace(10, 50, 30)
    predicted = reference + np.tile([0.5, -0.5], 15)
    predicted[7] += 30
    cases = [f"case_{index}" for index in range(30)]
    drawing = bland_altman(Agreement.of(cases, cases, predicted, reference), "WT")
    assert [title.text for title in drawing.iter("title")] == ["case_7: +29.5 ml"]


def test_no_difference_at_all_can_be_drawn() -> None:
    cases = ["a", "b", "c"]
    drawing = bland_altman(Agreement.of(cases, cases, [0.0] * 3, [0.0] * 3), "ET")
    assert "nan" not in to_html(drawing)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-23.0, 41.0, ["−20", "0", "20", "40"]),
        (0.7812, 0.8031, ["0.785", "0.790", "0.795", "0.800"]),
        (0.0, 1234.0, ["0", "500", "1000"]),
    ],
)
def test_ticks_are_round_numbers_on_the_axis(low: float, high: float, expected: list[str]) -> None:
    assert tick_texts(Axis("", low, high).ticks()) == expected


def test_an_axis_around_equal_values_has_a_length() -> None:
    for value in (0.0, 5.0, -3.0):
        axis = Axis.around("", [value, value])
        assert axis.low < value < axis.high and axis.ticks()


def story(direction: str, values: list[float | None]) -> TuningStory:
    trials = [TrialPoint(number, value, {}) for number, value in enumerate(values)]
    return TuningStory("Dice", direction, trials, values[0], {}, None, False, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(("direction", "best"), [("maximize", "0.9000"), ("minimize", "0.1000")])
def test_the_best_so_far_follows_the_direction(direction: str, best: str) -> None:
    drawing = trial_history(story(direction, [0.5, 0.1, None, 0.9, 0.4]))
    assert drawing is not None and f"the best reaches {best}" in (drawing.get("aria-label") or "")
    heights = numbers(of_class(drawing, "s0")[0])[1::2]
    assert heights == sorted(heights, reverse=direction == "maximize")  # downwards is larger in SVG


def test_a_search_without_values_has_no_chart() -> None:
    assert trial_history(story("maximize", [None])) is None


def test_the_chosen_ensemble_is_another_mark() -> None:
    points = [CurvePoint("a", 1, 0.1, 0.7, 0.6, 0.8, False), CurvePoint("b", 2, 0.3, 0.8, 0.7, 0.9, True)]
    drawing = cost_curve(points, "mean Dice")
    assert len(of_class(drawing, "mean")) == 1 and len(of_class(drawing, "plain")) == 1
    assert "chosen: b" in (drawing.get("aria-label") or "")


def test_curves_keep_their_style_where_another_is_empty() -> None:
    drawing = curves({"0": [], "1": [(1, 0.5), (2, float("nan")), (3, 0.7)]}, "epoch", Axis("Dice", 0, 1), "curves")
    assert not of_class(drawing, "s0") and len(numbers(of_class(drawing, "s1")[0])) == 4


def test_bars_are_as_long_as_their_shares() -> None:
    widths = [float(it.get("width") or 0) for it in of_class(bars({"a": 0.6, "b": 0.3}, "share, %", ""), "bar")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.05)


def test_numbers_as_they_are_written() -> None:
    assert decimal(-0.0004, 3, signed=True) == "0.000" and decimal(-0.1234, 2) == "−0.12"
    assert decimal(None) == decimal(float("nan")) == "–"
    assert spread(0.1, 0.2, 1) == "0.1–0.2" and spread(-0.1, 0.2, 1) == "−0.1 to 0.2" and spread(None, 1.0) == ""
    assert with_interval(0.5, 0.4, 0.6, 1) == "0.5 (0.4–0.6)" and with_interval(0.5, None, None, 1) == "0.5"
    assert significant(1234.5) == "1234" and significant(0.01234) == "0.0123" and significant(0.0) == "0"
    assert percent(0.004).split("\N{NARROW NO-BREAK SPACE}") == ["<", "1", "%"]
    assert percent(0.834, 1).split("\N{NARROW NO-BREAK SPACE}") == ["83.4", "%"]
    assert count(1234567).split("\N{NARROW NO-BREAK SPACE}") == ["1", "234", "567"]


def test_markup_escapes_texts_and_attributes_and_drops_what_no_page_may_hold() -> None:
    made = element("p", "a < b & \x00c", element("b", "x"), " <tail>", title='"quoted" <&>', data_x=1.5, hidden=None)
    assert to_html(made) == (
        '<p title="&quot;quoted&quot; &lt;&amp;&gt;" data-x="1.5">a &lt; b &amp; \ufffdc<b>x</b> &lt;tail&gt;</p>'
    )
