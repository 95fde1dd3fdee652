"""The choice between configurations, and what is promised of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.selection import best_by_mean_dice, nested_scores, select_best
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics


def metrics(name: str, dice: dict[str, float] | np.ndarray) -> Metrics:
    if not isinstance(dice, dict):
        dice = {f"case_{index:03d}": value for index, value in enumerate(dice)}
    return build_metrics(
        name, {case: case_metrics(case, {"WT": {"dice": float(value)}}, 0) for case, value in dice.items()}
    )


def candidate(name: str, scores: Metrics | None) -> Candidate:
    weights = {} if scores is None else {0: Path(f"{name}_0.safetensors")}
    return Candidate(name, weights, Path("all.safetensors") if scores is None else None, [1, 2, 3, 4], scores)


def test_the_higher_mean_wins_and_the_difference_has_an_interval() -> None:
    random = np.random.default_rng(0)
    level = random.normal(0.7, 0.1, 60)
    worse, better = metrics("worse", level), metrics("better", level + random.normal(0.03, 0.02, 60))
    selection = select_best([candidate("worse", worse), candidate("better", better)])
    assert selection.best.configuration == "better"
    assert list(selection.compared) == ["better", "worse"]
    (difference,) = selection.differences
    assert difference.other == "worse" and difference.is_clear
    assert difference.low < 0.03 < difference.high
    assert difference.high - difference.low < 0.02  # paired: far narrower than the cases' own spread


def test_a_difference_by_chance_is_not_called_clear() -> None:
    random = np.random.default_rng(1)
    one, other = (metrics(name, random.normal(0.7, 0.1, 20)) for name in ("one", "other"))
    assert not select_best([candidate("one", one), candidate("other", other)]).differences[0].is_clear


def test_only_common_cases_are_compared() -> None:
    """The candidate validated on the easy cases alone must not win by them."""
    easy = {f"easy_{i}": 0.95 for i in range(5)}
    hard = {f"hard_{i}": 0.5 for i in range(5)}
    everything = metrics("everything", {**dict.fromkeys(easy, 0.96), **hard})
    easy_only = metrics("easy_only", easy)
    selection = select_best([candidate("easy_only", easy_only), candidate("everything", everything)])
    assert selection.best.configuration == "everything"
    assert set(selection.compared["everything"].cases) == set(easy)
    assert any("5 cases" in note for note in selection.notes)


def test_without_common_cases_it_says_so() -> None:
    one, other = metrics("one", {"a": 0.9, "b": 0.8}), metrics("other", {"c": 0.5, "d": 0.6})
    selection = select_best([candidate("one", one), candidate("other", other)])
    assert selection.best.configuration == "one" and selection.expected == one
    assert any("hardly be compared" in note for note in selection.notes)


def test_a_single_configuration_is_expected_to_do_what_it_did() -> None:
    scores = metrics("only", np.linspace(0.5, 0.9, 10))
    selection = select_best([candidate("only", scores)])
    assert selection.expected == scores and not selection.notes and not selection.differences


def test_equals_go_to_the_first() -> None:
    values = np.linspace(0.5, 0.9, 10)
    chosen = select_best([candidate("first", metrics("first", values)), candidate("second", metrics("second", values))])
    assert chosen.best.configuration == "first"


def test_fold_all_alone_promises_nothing() -> None:
    selection = select_best([candidate("only_all", None)])
    assert (
        selection.best.configuration == "only_all"
        and selection.expected is None
        and "no validation" in selection.notes[0]
    )


def test_scored_configurations_go_before_unscored_ones() -> None:
    selection = select_best([candidate("only_all", None), candidate("scored", metrics("scored", np.full(4, 0.1)))])
    assert selection.best.configuration == "scored"


def test_nothing_trained_is_an_error() -> None:
    with pytest.raises(ValueError, match="trained"):
        select_best([Candidate("none", {}, None, [0], None)])


def test_the_nested_estimate_is_not_inflated_by_the_search() -> None:
    """The best of many equal candidates looks good on the cases that chose it; the nested scores do not."""
    naive, nested = [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        equal = {f"c{i}": metrics(f"c{i}", random.normal(0.5, 0.2, 40)) for i in range(12)}
        naive.append(equal[best_by_mean_dice(equal)].mean_dice.mean)
        nested.append(nested_scores(equal, best_by_mean_dice, seed=seed).mean_dice.mean)
    assert np.mean(naive) > 0.54
    assert abs(np.mean(nested) - 0.5) < 0.02


def test_the_nested_choice_never_sees_the_scored_patient() -> None:
    equal = {name: metrics(name, np.random.default_rng(i).random(12)) for i, name in enumerate(["one", "other"])}
    groups: list[set[str]] = []

    def choose(seen) -> str:
        groups.append(set(seen["one"].cases))
        return "one"

    nested = nested_scores(equal, choose)
    assert nested.cases == equal["one"].cases
    left_out = [set(equal["one"].cases) - group for group in groups if len(group) < 12]
    assert len(left_out) == 5 and set.union(*left_out) == set(equal["one"].cases)
    assert sum(map(len, left_out)) == 12
