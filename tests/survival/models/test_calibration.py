"""Curves, probabilities and days that follow from a risk, against Kaplan-Meier, Kalbfleisch-Prentice and a known law."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.evaluation.survival.kaplan_meier import kaplan_meier
from autobrats.survival.models.calibration import ClassCalibration, RiskCalibration


def simulated(patients: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponential days whose hazard doubles (about) with each unit of the risk."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=patients)
    days, end = rng.exponential(500 * np.exp(-0.7 * risk)), rng.exponential(1500, patients)
    return risk, np.minimum(days, end), days <= end


@pytest.mark.parametrize("rounded", [1, 50], ids=["no ties", "ties"])
@pytest.mark.parametrize("risk", ["constant", "wrong way round"])
def test_a_useless_risk_leaves_the_kaplan_meier_curve(risk: str, rounded: int) -> None:
    known, days, died = simulated(80)
    days = np.ceil(days / rounded) * rounded
    useless = np.full(80, 0.3) if risk == "constant" else -known
    calibration = RiskCalibration.fit(useless, days, died)
    reference = kaplan_meier(days, died)
    curves = calibration.curves(useless[:2], reference.days)
    np.testing.assert_allclose(curves, [reference.survival] * 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(calibration.median_days(useless[:2]), reference.median_days())


def test_the_law_is_found_whatever_the_scale_of_the_risk() -> None:
    risk, days, died = simulated(2000)
    times = np.array([100.0, 300.0, 450.0, 800.0])
    calibration = RiskCalibration.fit(risk, days, died)
    new = np.array([-1.0, 0.0, 1.5])
    truth = np.exp(-times / (500 * np.exp(-0.7 * new))[:, None])
    # 2000 patients: a standard error of about 0.02.
    np.testing.assert_allclose(calibration.curves(new, times), truth, atol=0.06)
    other = RiskCalibration.fit(1e6 + 1e-3 * risk, days, died)
    np.testing.assert_allclose(other.curves(1e6 + 1e-3 * new, times), calibration.curves(new, times), atol=1e-5)


def test_days_of_several_deaths_keep_the_equation_of_kalbfleisch_and_prentice() -> None:
    risk, days, died = simulated(60)
    days = np.ceil(days / 200) * 200
    calibration = RiskCalibration.fit(risk, days, died)
    hazard = np.exp(calibration.slope * (risk - risk.mean()) / risk.std())
    factors = np.divide(calibration.baseline, (1.0, *calibration.baseline[:-1]))
    assert calibration.slope > 0.3
    several = 0
    for day, factor in zip(calibration.event_days, factors):
        dying = hazard[died & (days == day)]
        if factor == 0:
            assert len(dying) == (days >= day).sum()
            continue
        several += len(dying) > 1
        assert (dying / (1 - factor**dying)).sum() == pytest.approx(hazard[days >= day].sum(), rel=1e-6)
    assert several >= 3


def test_probabilities_of_classes_are_differences_of_the_curve() -> None:
    risk, days, died = simulated()
    days[:6] = [300, 300, 450, 450, 299, 451]
    died[:6] = True
    calibration = RiskCalibration.fit(risk, days, died)
    probabilities = calibration.class_probabilities(risk)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities[:, 2], calibration.curves(risk, np.array([450.0]))[:, 0])
    # A constant risk and no censoring: the shares of the classes, the borders themselves in the middle one.
    exact = RiskCalibration.fit(np.zeros(6), days[:6], died[:6]).class_probabilities(np.zeros(1))
    np.testing.assert_allclose(exact, [[1 / 6, 4 / 6, 1 / 6]])


def test_medians_and_means() -> None:
    risk, days, died = simulated()
    calibration = RiskCalibration.fit(risk, days, died)
    new = np.array([-1.0, 0.0, 1.0])
    medians = calibration.median_days(new)
    for one, median in zip(new, medians):
        curve = calibration.curves(np.array([one]), np.array([np.nextafter(median, 0), median]))[0]
        assert curve[0] > 0.5 >= curve[1] - 1e-12


def test_beyond_the_follow_up_the_hazard_goes_on() -> None:
    risk, days, died = simulated(800)
    end = 250.0
    died, days = died & (days <= end), np.minimum(days, end)
    calibration = RiskCalibration.fit(risk, days, died)
    low = np.array([-1.0])
    assert calibration.curves(low, np.array([end]))[0, 0] > 0.7
    median = calibration.median_days(low)
    np.testing.assert_allclose(calibration.curves(low, median), 0.5, atol=1e-9)
    # The law's own median is 698 days; the hazard of the last 63 deaths is known to 13 %.
    assert median[0] == pytest.approx(500 * np.exp(0.7) * np.log(2), rel=0.35)


def test_risks_beyond_those_seen_count_as_the_nearest() -> None:
    risk, days, died = simulated()
    calibration = RiskCalibration.fit(risk, days, died)
    far = np.array([risk.max(), 1e9, risk.min(), -1e9])
    curves = calibration.curves(far, np.array([200.0, 600.0]))
    np.testing.assert_allclose(curves[0], curves[1])
    np.testing.assert_allclose(curves[2], curves[3])
    restored = RiskCalibration.model_validate_json(calibration.model_dump_json())
    np.testing.assert_array_equal(restored.curves(risk, np.arange(900.0)), calibration.curves(risk, np.arange(900.0)))


def test_class_scores_that_are_too_sure_are_cooled_down() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(3, p=p) for p in honest])
    days, died = np.array([100.0, 400.0, 800.0])[classes], np.ones(3000, bool)
    sure = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    calibration = ClassCalibration.fit(sure, days, died)
    # The standard error of the temperature is about 5 % at 3000 patients.
    assert calibration.temperature == pytest.approx(3, rel=0.15)
    np.testing.assert_allclose(calibration.apply(sure), honest, atol=0.03)
    # Who was censored before his class was certain says nothing.
    days[:500], died[:500] = 1.0, False
    assert ClassCalibration.fit(sure, days, died).temperature == pytest.approx(3, rel=0.15)
