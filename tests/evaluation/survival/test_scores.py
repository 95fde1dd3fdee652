"""All scores of a prediction together: who counts where, what is not defined and why, intervals and differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autobrats.errors import UserError
from autobrats.evaluation.survival.concordance import ComparablePairs, harrell_c
from autobrats.evaluation.survival.intervals import measure, resample_counts
from autobrats.evaluation.survival.metrics import (
    SURVIVAL_METRICS,
    direction_of,
    read_survival_metrics,
    write_survival_metrics,
    write_survival_table,
)
from autobrats.evaluation.survival.portal import portal_scores
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.evaluation.survival.scores import compare_survival, score_survival


def cohort(seed: int = 0, number: int = 80) -> tuple[np.ndarray, np.ndarray, SurvivalPredictions]:
    """Outcomes, and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=number)
    scale = 500 * np.exp(-0.7 * risk)
    life, lost = rng.exponential(scale), rng.uniform(100, 1500, number)
    curve_days = np.array([100.0, 200.0, 300.0, 450.0, 700.0])
    curves = np.exp(-curve_days / scale[:, None])
    probabilities = np.stack([1 - curves[:, 2], curves[:, 2] - curves[:, 3], curves[:, 3]], axis=1)
    predicted = SurvivalPredictions(
        days=scale * np.log(2),
        risk=risk,
        days_low=scale * 0.05,
        days_high=scale * 3,
        classes=probabilities.argmax(axis=1),
        probabilities=probabilities,
        curve_days=curve_days,
        curves=curves,
    )
    return np.minimum(life, lost) + 1, life <= lost, predicted


def test_every_metric_has_a_value_within_its_interval(tmp_path: Path) -> None:
    days, died, predicted = cohort()
    metrics = score_survival(days, died, predicted)
    assert tuple(metrics.scores) == SURVIVAL_METRICS
    for name, score in metrics.scores.items():
        assert score.value is not None and score.low is not None and score.high is not None, name
        assert score.low <= score.value <= score.high and not score.reason, name
    write_survival_metrics(tmp_path / "survival_metrics.json", metrics)
    assert read_survival_metrics(tmp_path / "survival_metrics.json") == metrics
    write_survival_table(tmp_path / "survival_metrics.csv", metrics)
    lines = (tmp_path / "survival_metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + len(SURVIVAL_METRICS) + 4 and lines[1].startswith("accuracy,")


def test_who_counts_where() -> None:
    days, died, predicted = cohort()
    metrics = score_survival(days, died, predicted)
    certain = died | (days > 450)
    assert metrics.patients == 80 and metrics.deaths == died.sum() and metrics.certain_classes == certain.sum()
    assert died.sum() < certain.sum() < 80
    assert metrics.scores["mse"].patients == died.sum()
    assert metrics.scores["balanced_accuracy"].patients == certain.sum() == np.sum(metrics.confusion)
    assert metrics.scores["c_harrell"].patients == 80
    assert predicted.days is not None and predicted.risk is not None
    for name, value in portal_scores(days[died], predicted.days[died]).items():
        assert metrics.scores[name].value == pytest.approx(value), name
    assert metrics.scores["c_harrell"].value == harrell_c(days, died, predicted.risk)


def test_the_interval_is_that_of_the_resamples() -> None:
    days, died, predicted = cohort(number=40)
    assert predicted.risk is not None
    values = []
    for drawn in resample_counts(40, seed=3):
        who = np.repeat(np.arange(40), drawn.astype(int))
        values.append(harrell_c(days[who], died[who], predicted.risk[who]))
    score = score_survival(days, died, predicted, seed=3).scores["c_harrell"]
    assert (score.low, score.high) == pytest.approx(np.percentile(values, [2.5, 97.5]))
    other = score_survival(days, died, predicted, seed=4).scores["c_harrell"]
    assert other.value == score.value and other.low != score.low


def test_days_alone_are_enough() -> None:
    days, died, predicted = cohort()
    alone = score_survival(days, died, SurvivalPredictions(days=predicted.days))
    full = score_survival(days, died, predicted)
    assert alone.scores["c_harrell"].value == pytest.approx(full.scores["c_harrell"].value)
    assert alone.scores["mse"] == full.scores["mse"]
    for name in ("brier_300", "brier_integrated", "interval_coverage"):
        assert alone.scores[name].value is None and alone.scores[name].reason, name
    assert not alone.calibration and len(alone.confusion) == 3


def test_a_risk_alone_is_enough_for_what_goes_by_order() -> None:
    days, died, predicted = cohort()
    metrics = score_survival(days, died, SurvivalPredictions(risk=predicted.risk))
    assert metrics.scores["auc_mean"].value is not None
    assert metrics.scores["accuracy"].reason == "no days were predicted" and metrics.confusion == []


def test_what_is_not_defined_says_why() -> None:
    days, _, predicted = cohort()
    constant = SurvivalPredictions(days=np.full(80, 361.7))
    metrics = score_survival(days, np.ones(80, bool), constant)
    assert metrics.scores["spearman_r"].value is None and "same days" in metrics.scores["spearman_r"].reason
    assert metrics.scores["c_harrell"].value == 0.5

    nobody = score_survival(days, np.zeros(80, bool), predicted)
    assert nobody.scores["mse"].reason == "nobody died" and nobody.scores["interval_coverage"].reason == "nobody died"
    assert "who died first" in nobody.scores["c_harrell"].reason

    early = score_survival(np.linspace(1, 200, 80), np.ones(80, bool), predicted)
    assert early.scores["balanced_accuracy"].reason == "all patients are of one class"
    assert "300 days" in early.scores["auc_300"].reason and "300 days" in early.scores["brier_300"].reason


def test_one_patient_has_values_without_intervals() -> None:
    metrics = score_survival(np.array([200.0]), np.array([True]), SurvivalPredictions(days=np.array([250.0])))
    assert metrics.scores["mse"].value == 2500 and metrics.scores["mse"].low is None
    assert metrics.scores["accuracy"].value == 1 and metrics.scores["c_harrell"].value is None


def test_shuffled_risks_are_chance() -> None:
    days, died, predicted = cohort(1, 300)
    assert predicted.risk is not None
    shuffled = np.random.default_rng(0).permutation(predicted.risk)
    scores = score_survival(days, died, SurvivalPredictions(risk=shuffled)).scores
    for name in ("c_harrell", "c_ipcw", "auc_mean"):
        low, high = scores[name].low, scores[name].high
        assert low is not None and high is not None and low < 0.5 < high, name


def test_a_difference_is_paired() -> None:
    days, died, predicted = cohort(2, 120)
    assert predicted.risk is not None
    rng = np.random.default_rng(0)
    close = predicted.risk + rng.normal(0, 0.05, 120)
    pairs = ComparablePairs(days, died)
    score = measure(lambda draws: pairs.resampled(predicted.risk, draws) - pairs.resampled(close, draws), 120)
    value, low, high = score.value, score.low, score.high
    assert value == pytest.approx(pairs.harrell(predicted.risk) - pairs.harrell(close), abs=1e-12)
    alone = measure(lambda draws: pairs.resampled(predicted.risk, draws), 120)
    assert low is not None and high is not None and alone.low is not None and alone.high is not None
    assert low <= value <= high and high - low < (alone.high - alone.low) / 3

    differences = compare_survival(days, died, predicted, SurvivalPredictions(risk=close))
    assert differences["c_harrell"].low == pytest.approx(low) and differences["c_harrell"].value == pytest.approx(value)
    assert differences["mse"].value is None and differences["mse"].reason == "no days were predicted"
    same = compare_survival(days, died, predicted, predicted)
    assert all(score.value == score.low == score.high == 0 for score in same.values())


def test_a_border_of_class_counts_as_the_class_says() -> None:
    # Who dies on day 300 is in the middle class: was alive "after" the short one.
    days = np.array([299.0, 300.0, 300.0, 301.0, 450.0, 451.0])
    sure = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], float)
    metrics = score_survival(days, np.ones(6, bool), SurvivalPredictions(risk=-days, probabilities=sure))
    assert metrics.scores["brier_300"].value == 0 and metrics.scores["brier_450"].value == 0


def test_survival_comes_from_the_classes_at_their_borders_and_from_curves_elsewhere() -> None:
    *_, predicted = cohort()
    assert predicted.probabilities is not None and predicted.curves is not None
    assert predicted.survival_at(300) == pytest.approx(predicted.probabilities[:, 1:].sum(axis=1))
    at_250 = predicted.survival_at(250)
    assert at_250 is not None and (at_250 == predicted.curves[:, 1]).all()
    assert predicted.survival_at(50) is None and predicted.survival_at(2000) is None
    some = predicted.rows([3, 1])
    assert len(some) == 2 and some.curves is not None and (some.curves[0] == predicted.curves[3]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"days": np.array([1.0, np.nan])},
        {"days": np.array([1.0, 2.0]), "risk": np.array([1.0])},
        {"days": np.array([1.0, 2.0]), "probabilities": np.ones((2, 2))},
        {"days": np.array([1.0, 2.0]), "curves": np.ones((2, 3))},
        {"days": np.array([1.0, 2.0]), "curves": np.ones((2, 2)), "curve_days": np.array([5.0, 5.0])},
    ],
)
def test_predictions_that_do_not_fit_are_refused(wrong: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError):
        SurvivalPredictions(**wrong)


def test_outcomes_that_do_not_fit_are_refused() -> None:
    two = SurvivalPredictions(days=np.array([1.0, 2.0]))
    for days in (np.array([1.0]), np.array([1.0, 0.0]), np.array([1.0, np.nan])):
        with pytest.raises(ValueError):
            score_survival(days, np.ones(len(days), bool), two)


def test_a_file_that_is_not_of_this_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "survival_metrics.json").write_text('{"patients": 3}')
    with pytest.raises(UserError, match=r"survival_metrics\.json.*deaths"):
        read_survival_metrics(tmp_path / "survival_metrics.json")


def test_directions() -> None:
    assert direction_of("c_harrell") == 1 and direction_of("mse") == -1 and direction_of("brier_300") == -1
    with pytest.raises(ValueError, match="interval_coverage"):
        direction_of("interval_coverage")
