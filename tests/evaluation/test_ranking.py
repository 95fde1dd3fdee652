"""The BraTS ranking on tables small enough to rank by hand, and its permutation test."""

from __future__ import annotations

import pytest

from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics
from autobrats.evaluation.ranking import rank_competitors

Table = dict[str, dict[str, dict[str, float]]]


def metrics_of(name: str, table: Table, patients: dict[str, str] | None = None) -> Metrics:
    owners = patients or {}
    return build_metrics(name, {case: case_metrics(owners.get(case, case), of) for case, of in table.items()})


def by_dice(name: str, values: list[float], patients: dict[str, str] | None = None) -> Metrics:
    return metrics_of(name, {f"c{i:02d}": {"WT": {"dice": v}} for i, v in enumerate(values)}, patients)


def test_a_table_ranked_by_hand() -> None:
    # Ranks of A, B, C.   WT dice    WT hd95          ET dice           ET hd95      mean
    # case 1              1, 2, 3    2, 1, 3          1.5, 1.5, 3       1, 2, 3      5.5/4, 6.5/4, 12/4
    # case 2              2, 3, 1    2, 2, 2          3, 1, 2           3, 1, 2      10/4,  7/4,   7/4
    a = {"1": _case(0.9, 5, 0.7, 2), "2": _case(0.8, 4, 0.1, 30)}
    b = {"1": _case(0.8, 4, 0.7, 3), "2": _case(0.7, 4, 0.5, 10)}
    c = {"1": _case(0.7, 6, 0.6, 4), "2": _case(0.9, 4, 0.4, 20)}
    sets = [metrics_of(name, table) for name, table in (("A", a), ("B", b), ("C", c))]
    ranking = rank_competitors(sets, permutations=100)
    scores = {competitor.name: competitor.rank_score for competitor in ranking.competitors}
    assert scores == pytest.approx({"A": 15.5 / 8, "B": 13.5 / 8, "C": 19 / 8})
    assert [(competitor.place, competitor.name) for competitor in ranking.competitors] == [(1, "B"), (2, "A"), (3, "C")]
    assert ranking.test_of("A", "B").difference == pytest.approx(0.25)
    assert ranking.test_of("B", "A").first == "B"
    assert (ranking.cases, ranking.patients, ranking.regions) == (2, 2, ["WT", "ET"])


def test_ranks_sum_to_what_they_must() -> None:
    sets = [by_dice(name, [0.1 * i, 0.5, 0.9 - 0.1 * i, 0.2]) for i, name in enumerate("abcd")]
    scores = [competitor.rank_score for competitor in rank_competitors(sets, ["dice"], permutations=10).competitors]
    assert sum(scores) == pytest.approx(1 + 2 + 3 + 4)


def test_identical_competitors_share_the_place_and_are_not_told_apart() -> None:
    values = [0.1, 0.5, 0.7, 0.3]
    ranking = rank_competitors([by_dice("a", values), by_dice("b", values)], ["dice"], permutations=1000)
    assert [(of.place, of.rank_score) for of in ranking.competitors] == [(1, 1.5), (1, 1.5)]
    assert ranking.tests[0].p == ranking.tests[0].p_holm == 1 and ranking.tests[0].difference == 0


def test_the_p_value_is_that_of_all_exchanges() -> None:
    # One is ahead in each of five cases: of the 32 exchanges, two are as uneven.
    ranking = rank_competitors([by_dice("a", [0.9] * 5), by_dice("b", [0.8] * 5)], ["dice"], permutations=20_000)
    assert ranking.tests[0].p == pytest.approx(2 / 32, abs=0.006)
    assert ranking.tests[0].difference == 1


def test_the_cases_of_a_patient_are_exchanged_together() -> None:
    patients = {f"c{i:02d}": f"p{i % 5}" for i in range(20)}
    sets = [by_dice("a", [0.9] * 20, patients), by_dice("b", [0.8] * 20, patients)]
    ranking = rank_competitors(sets, ["dice"], permutations=20_000)
    assert ranking.patients == 5 and ranking.tests[0].p == pytest.approx(2 / 32, abs=0.006)


def test_p_values_are_seeded_and_corrected() -> None:
    sets = [by_dice(name, [0.5 + 0.01 * ((i * k) % 7) for i in range(12)]) for k, name in enumerate("abc", 1)]
    one, again = (rank_competitors(sets, ["dice"], permutations=2500, seed=4) for _ in range(2))
    assert one == again and one.permutations == 2500
    assert all(test.p <= test.p_holm <= 1 for test in one.tests) and len(one.tests) == 3


def test_a_missing_prediction_ranks_behind_a_useless_one() -> None:
    useless = metrics_of("useless", {"1": {"WT": {"dice": 0.0, "hd95": 373.1}}})
    undefined = metrics_of("undefined", {"1": {"WT": {"dice": 0.0, "hd95": float("inf")}}})
    failed = metrics_of("failed", {"1": {"WT": {"dice": 0.0, "hd95": 373.1}}})
    ranking = rank_competitors([failed, useless, undefined], failed={"failed": {"1"}}, permutations=10)
    scores = {competitor.name: competitor.rank_score for competitor in ranking.competitors}
    assert scores == pytest.approx({"useless": (1.5 + 1) / 2, "undefined": (1.5 + 2) / 2, "failed": 3})
    absent = metrics_of("absent", {"2": {"WT": {"dice": 0.0, "hd95": 1.0}}})
    ranking = rank_competitors([useless, absent], permutations=10)
    assert ranking.cases == 2 and [of.rank_score for of in ranking.competitors] == [1.5, 1.5]


def test_differences_of_rounding_are_ties() -> None:
    sets = [
        metrics_of(name, {"1": {"WT": {"dice": dice, "hd95": hd95}}})
        for name, dice, hd95 in (("a", 0.5, 20.0000005), ("b", 0.5, 20.0), ("c", 0.4, 20.0000010), ("d", 0.5, 20.1))
    ]
    scores = {of.name: of.rank_score for of in rank_competitors(sets, permutations=1).competitors}
    assert scores == {"a": 2, "b": 2, "c": 3, "d": 3}


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="two or more sets of different names"):
        rank_competitors([by_dice("a", [1.0])])
    with pytest.raises(UserError, match="cannot be compared by 'volume_error_ml'"):
        rank_competitors([by_dice("a", [1.0]), by_dice("b", [1.0])], ["volume_error_ml"], permutations=1)


def _case(wt_dice: float, wt_hd95: float, et_dice: float, et_hd95: float) -> dict[str, dict[str, float]]:
    return {"WT": {"dice": wt_dice, "hd95": wt_hd95}, "ET": {"dice": et_dice, "hd95": et_hd95}}
