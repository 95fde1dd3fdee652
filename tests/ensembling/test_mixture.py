"""What a mixture is, what it is called, and the networks that make it up."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.differences import difference
from autobrats.ensembling.mixture import Mixture
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics


def scores(name: str, dice: list[float], folds: int = 1) -> Metrics:
    return build_metrics(
        name,
        {
            f"case_{place:02d}": case_metrics(f"patient_{place:02d}", {"WT": {"dice": value}}, place % folds)
            for place, value in enumerate(dice)
        },
    )


def candidate(name: str, dice_by_fold: list[float]) -> Candidate:
    folds = range(len(dice_by_fold))
    metrics = scores(name, dice_by_fold, len(dice_by_fold))
    return Candidate(name, {fold: Path(f"{name}_{fold}") for fold in folds}, None, [], metrics)


def test_labels_for_people() -> None:
    assert Mixture.of("a").label == "a"
    assert Mixture.of("a", "b").label == "a + b"
    assert Mixture.of("a", "a", "b").label == "2 x a + b"
    assert Mixture.of("a", "b", combination="staple").label == "a + b (staple)"
    assert Mixture((("a", 3.0), ("b", 2.0))).label == "1.5 x a + b"


def test_members_that_count_alike_are_one_mixture() -> None:
    assert Mixture.of("a", "a", "b", "b") == Mixture.of("a", "b")
    assert Mixture.of("a", "a") == Mixture.of("a") and Mixture.of("a", "a").is_single
    assert Mixture.of("a", "b", "b", "b").weights == (("a", 1.0), ("b", 3.0))


def test_the_networks_of_a_configuration_share_its_weight() -> None:
    candidates = {"a": candidate("a", [0.5, 0.6, 0.7]), "b": candidate("b", [0.5, 0.6])}
    networks = Mixture((("a", 3.0), ("b", 1.0))).networks(candidates)
    assert [(of.configuration, of.fold, of.weight) for of in networks] == [
        ("a", 0, 1.0),
        ("a", 1, 1.0),
        ("a", 2, 1.0),
        ("b", 0, 0.5),
        ("b", 1, 0.5),
    ]


def test_fewer_folds_are_the_best_of_their_own() -> None:
    candidates = {"a": candidate("a", [0.7, 0.9, 0.5, 0.8])}
    assert [of.fold for of in Mixture.of("a").networks(candidates, 2)] == [1, 3]
    assert [of.fold for of in Mixture.of("a").networks(candidates, 9)] == [0, 1, 2, 3]


def test_who_predicts_a_fold() -> None:
    pair = Mixture((("a", 2.0), ("b", 1.0)))
    assert pair.of_fold(3) == [("a", 2.0), ("b", 1.0)]
    by_fold = Mixture((("a", 1.0), ("b", 1.0)), by_fold=((0, "b"), (1, "a")))
    assert by_fold.of_fold(0) == [("b", 1.0)] and by_fold.of_fold(1) == [("a", 1.0)] and by_fold.of_fold(2) == []


def test_a_difference_is_paired_and_has_an_interval() -> None:
    level = [0.4 + 0.02 * place for place in range(20)]
    one, other = (
        scores("one", [value + 0.03 + 0.001 * (place % 3) for place, value in enumerate(level)]),
        scores("other", level),
    )
    found = difference(one, other)
    assert found.other == "other" and found.is_clear and found.mean == pytest.approx(0.03, abs=0.002)
    assert found.low is not None and found.high is not None and found.high - found.low < 0.002
    assert not difference(one, one).is_clear
    assert not difference(other, one).is_clear and difference(other, one).mean < 0


def test_a_difference_without_common_cases_has_no_interval() -> None:
    one = scores("one", [0.9, 0.8])
    other = build_metrics("other", {"x": case_metrics("x", {"WT": {"dice": 0.5}}, 0)})
    found = difference(one, other)
    assert (found.low, found.high, found.is_clear) == (None, None, False) and found.mean == pytest.approx(0.35)
