"""Paired comparison: known p values, Holm's correction, and what both say together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from autobrats.errors import UserError
from autobrats.evaluation.comparison import compare, holm, signed_rank_p
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics


def metrics_of(name: str, dice: dict[str, float], hd95: dict[str, float] | None = None) -> Metrics:
    cases = {
        case: case_metrics(case.partition("/")[0], {"WT": {"dice": value, "hd95": (hd95 or {}).get(case, 1.0)}})
        for case, value in dice.items()
    }
    return build_metrics(name, cases)


def names(count: int) -> list[str]:
    return [f"p{number:02d}" for number in range(count)]


def test_darwins_maize() -> None:
    # Heights of cross- minus self-fertilised plants (Fisher 1935); the exact p value is 1352 of 32768 arrangements.
    differences = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], float)
    assert signed_rank_p(differences, names(15)) == pytest.approx(1352 / 32768)


def test_zeros_are_ranked_and_left_out() -> None:
    values = np.round(np.random.default_rng(3).normal(0.3, 1, 60), 1)
    values[:12] = 0
    zeros, n = int((values == 0).sum()), len(values)
    ranks = rankdata(np.abs(values))
    positive = ranks[values > 0].sum()
    mean = (n * (n + 1) - zeros * (zeros + 1)) / 4
    variance = (n * (n + 1) * (2 * n + 1) - zeros * (zeros + 1) * (2 * zeros + 1)) / 24
    ties = np.unique(ranks[values != 0], return_counts=True)[1]
    variance -= (ties**3 - ties).sum() / 48
    expected = 2 * norm.sf(abs(positive - mean) / np.sqrt(variance))
    assert signed_rank_p(values, names(n)) == pytest.approx(expected, rel=1e-6)


def test_without_any_difference_p_is_1() -> None:
    assert signed_rank_p(np.zeros(8), names(8)) == 1


def test_the_cases_of_a_patient_count_once() -> None:
    differences = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], float)
    thrice = np.concatenate([differences - 1, differences, differences + 1])
    assert signed_rank_p(thrice, names(15) * 3) == pytest.approx(1352 / 32768)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # Wikipedia, "Holm-Bonferroni method"
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),  # R: p.adjust(c(...), "holm")
        ([0.5, 0.9], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], expected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(expected)


def test_a_clear_gain_is_found_in_the_right_direction() -> None:
    rng = np.random.default_rng(0)
    base = {name: float(rng.uniform(0.5, 0.8)) for name in names(30)}
    better = {name: value + float(rng.uniform(0.01, 0.1)) for name, value in base.items()}
    hd95 = {name: 10.0 + number % 3 for number, name in enumerate(base)}
    nearer = {name: value - 2 - number % 2 for number, (name, value) in enumerate(hd95.items())}
    dice, distance = compare(metrics_of("new", better, nearer), [metrics_of("old", base, hd95)])
    assert (dice.metric, dice.region, dice.cases) == ("dice", "WT", 30)
    expected = np.mean([better[name] - base[name] for name in base])
    assert dice.mean == pytest.approx(expected) and dice.low < expected < dice.high
    assert dice.better == distance.better == "new" and distance.mean == pytest.approx(-2.5)
    assert compare(metrics_of("old", base, hd95), [metrics_of("new", better, nearer)])[0].better == "new"
    assert max(dice.p_holm, distance.p_holm) == pytest.approx(max(2 * min(dice.p, distance.p), max(dice.p, distance.p)))


def test_the_same_predictions_do_not_differ() -> None:
    dice = {name: 0.1 + number / 100 for number, name in enumerate(names(20))}
    for difference in compare(metrics_of("a", dice), [metrics_of("b", dice)]):
        assert difference.mean == 0 and difference.p == difference.p_holm == 1 and difference.better is None


def test_differences_of_rounding_are_none() -> None:
    base = {name: 5.0 + number for number, name in enumerate(names(20))}
    rounded = {name: value * (1 + 3e-8) for name, value in base.items()}
    difference = compare(metrics_of("a", base, rounded), [metrics_of("b", base, base)], ["hd95"])[0]
    assert difference.mean == 0 and difference.p == 1


def test_many_small_gains_and_a_large_loss_are_not_called_better() -> None:
    base = dict.fromkeys(names(40), 0.5)
    changed = {name: 0.5 + (number + 1) / 1e5 for number, name in enumerate(base)} | {"p00": 0.0}
    difference = compare(metrics_of("a", changed), [metrics_of("b", base)], ["dice"])[0]
    assert difference.p_holm < 0.05 and difference.mean < 0 and difference.better is None


def test_a_value_that_one_side_lacks_is_left_out() -> None:
    one, other = {"a": 0.5, "b": 0.6, "c": 0.7}, {"a": 0.4, "b": float("nan")}
    difference = compare(metrics_of("one", one), [metrics_of("other", other)], ["dice"])[0]
    assert difference.cases == 1 and difference.mean == pytest.approx(0.1) and difference.low is None
    nothing = compare(metrics_of("one", {"a": 0.5}), [metrics_of("other", {"b": 0.5})], ["dice"])[0]
    assert nothing.cases == 0 and nothing.p is None and nothing.p_holm is None


def test_volumes_are_not_compared() -> None:
    with pytest.raises(UserError, match="cannot be compared by 'volume_ml'; possible: dice"):
        compare(metrics_of("a", {"x": 1.0}), [], ["volume_ml"])
