"""The charts of survival put marks where the numbers say."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from autobrats.evaluation.survival.calibration import Calibration, CalibrationGroup
from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.kaplan_meier import kaplan_meier
from autobrats.reporting.page.charts.importance_bars import Importance, importance_bars
from autobrats.reporting.page.charts.kaplan_meier import kaplan_meier_curves
from autobrats.reporting.page.charts.plot import THIRD, Axis, Plot
from autobrats.reporting.page.charts.predicted_days import Lived, longest_axis, predicted_days
from autobrats.reporting.page.charts.survival_calibration import survival_calibration
from autobrats.reporting.page.markup import to_html

DAYS = np.array([100.0, 200.0, 200.0, 300.0, 400.0])
DIED = np.array([True, True, False, True, False])


def of_class(drawing: Element, name: str) -> list[Element]:
    return [it for it in drawing.iter() if name in (it.get("class") or "").split()]


def places(path: Element) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", path.get("d") or "")]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def texts(drawing: Element) -> list[str]:
    return [it.text or "" for it in drawing.iter("text")]


def test_a_survival_curve_steps_down_at_deaths_and_ticks_where_patients_were_lost() -> None:
    drawing = kaplan_meier_curves({"all": kaplan_meier(DAYS, DIED)}, {"all": 0}, "days")
    line = places(next(it for it in of_class(drawing, "line") if it.get("class") == "line s0"))
    # 1, then 4/5 from 100, 3/5 from 200 (of 4 at risk), 3/10 from 300 (of 2), until 400.
    plot = Plot(Axis("", 0.0, 400.0), Axis("", 0.0, 1.0), height=290.0)
    plot.left = 52.0
    corners = [
        (0, 1),
        (100, 1),
        (100, 0.8),
        (200, 0.8),
        (200, 0.6),
        (300, 0.6),
        (300, 0.3),
        (400, 0.3),
        (400, 0.3),
        (400, 0.3),
    ]
    for place, corner in zip(line, corners, strict=True):
        assert place == pytest.approx(plot.at(*corner), abs=0.06)
    ticks = re.findall(r"M(\S+) \S+v8", of_class(drawing, "tick")[0].get("d") or "")
    assert [float(x) for x in ticks] == pytest.approx([plot.at(200, 0)[0], plot.at(400, 0)[0]], abs=0.06)


def test_the_band_holds_the_curve_and_the_numbers_below_are_those_at_risk() -> None:
    drawing = kaplan_meier_curves(
        {"one": kaplan_meier(DAYS, DIED), "other": kaplan_meier(DAYS, ~DIED)}, {"one": 1, "other": 4}, "days"
    )
    assert len(of_class(drawing, "band")) == 2 and "nan" not in to_html(drawing)
    shown = texts(drawing)
    at = shown.index("one")
    assert shown[at : at + 6] == ["one", "5", "5", "4", "2", "1"]  # on days 0, 100, 200, 300, 400
    assert "median survival 300 days" in (drawing.get("aria-label") or "")


def test_curves_of_patients_who_all_lived_can_be_drawn() -> None:
    drawing = kaplan_meier_curves({"all": kaplan_meier(DAYS, np.zeros(5, bool))}, {"all": 0}, "days")
    assert "not reached" in (drawing.get("aria-label") or "") and "nan" not in to_html(drawing)


def test_calibration_is_drawn_to_scale() -> None:
    groups = [
        CalibrationGroup(patients=30, predicted=0.2, observed=0.25, low=0.1, high=0.4),
        CalibrationGroup(patients=30, predicted=0.7),
    ]
    drawing = survival_calibration(
        Calibration(day=300, groups=groups, slope=Score(value=0.91), in_the_large=Score(reason="none"))
    )
    plot = Plot(Axis("", 0.0, 1.0), Axis("", 0.0, 1.0), width=THIRD, height=310.0)
    low, high = places(of_class(drawing, "interval")[0])
    assert low == pytest.approx(plot.at(0.2, 0.1), abs=0.06) and high == pytest.approx(plot.at(0.2, 0.4), abs=0.06)
    assert len(of_class(drawing, "mean")) == 1  # the second group was not followed that long
    assert "calibration slope 0.91" in (drawing.get("aria-label") or "")


def test_who_is_alive_is_an_arrow_and_who_died_a_dot() -> None:
    patients = [Lived(100, True, 200), Lived(900, False, 400), Lived(1000, True, 9000), Lived(300, True, -5)]
    drawing = predicted_days(patients)
    most = longest_axis(patients)
    assert most == 1040
    plot = Plot(Axis("", 0.0, most), Axis("", 0.0, most))
    plot.bottom = plot.top + plot.right - plot.left
    dots = [(float(x), float(y)) for x, y in re.findall(r"M(\S+) (\S+)h0", of_class(drawing, "dots")[0].get("d") or "")]
    for dot, place in zip(dots, [(100, 200), (1000, most), (300, 0)], strict=True):
        assert dot == pytest.approx(plot.at(*place), abs=0.06)
    arrow = re.findall(r"M(\S+) (\S+)h8", of_class(drawing, "alive")[0].get("d") or "")
    x, y = plot.at(900, 400)
    assert [(float(a), float(b)) for a, b in arrow] == [pytest.approx((x - 3, y), abs=0.06)]
    assert len(of_class(drawing, "class-square")) == 3


def test_bars_start_at_zero_whichever_way_they_go() -> None:
    rows = [Importance("age", 0.3, 0.1, 0.4), Importance("noise", -0.1)]
    drawing = importance_bars(rows, "loss")
    age, noise = of_class(drawing, "bar")
    left, width = float(age.get("x") or 0), float(age.get("width") or 0)
    assert float(noise.get("x") or 0) + float(noise.get("width") or 0) == pytest.approx(left, abs=0.02)
    assert width == pytest.approx(3 * float(noise.get("width") or 0), abs=0.05)
    assert "−0.100" in texts(drawing)


def test_importances_of_nothing_can_be_drawn() -> None:
    assert "nan" not in to_html(importance_bars([Importance("age", 0.0)], "loss"))
