"""metrics.json: building, pooling, writing and reading back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import build_metrics, case_metrics, pool_metrics, read_metrics, write_metrics


def cases(names: str, fold: int, dice: float = 0.8) -> dict:
    scores = {"WT": {"dice": dice, "hd95": 3.0}, "ET": {"dice": dice - 0.2, "hd95": math.nan}}
    return {name: case_metrics(f"patient_{name}", scores, fold) for name in names}


def test_a_round_trip_through_the_file(tmp_path: Path) -> None:
    metrics = build_metrics("3d_fullres", cases("ba", 0))
    write_metrics(tmp_path / "metrics.json", metrics)
    assert read_metrics(tmp_path / "metrics.json") == metrics
    assert list(metrics.cases) == ["a", "b"] and metrics.folds == [0]
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["cases"]["a"]["regions"]["ET"]["hd95"] is None
    assert content["summary"]["WT"]["dice"]["mean"] == 0.8
    assert content["mean_dice"]["mean"] == pytest.approx(0.7)


def test_infinity_becomes_null() -> None:
    assert case_metrics("p", {"ET": {"hd95": math.inf}}).regions == {"ET": {"hd95": None}}


def test_folds_are_pooled_case_by_case() -> None:
    one, other = build_metrics("c", cases("abc", 0, 0.9)), build_metrics("c", cases("d", 1, 0.5))
    pooled = pool_metrics([one, other])
    assert pooled.folds == [0, 1] and list(pooled.cases) == list("abcd")
    assert pooled.summary["WT"]["dice"].mean == pytest.approx(0.8)
    assert pooled.summary["WT"]["dice"].n == 4
    only = pool_metrics([one, other], only={"a", "d"})
    assert only.summary["WT"]["dice"].mean == pytest.approx(0.7)


def test_a_case_validated_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="the case a was validated in two folds"):
        pool_metrics([build_metrics("c", cases("ab", 0)), build_metrics("c", cases("a", 1))])


def test_two_configurations_are_not_pooled() -> None:
    with pytest.raises(ValueError, match="one configuration"):
        pool_metrics([build_metrics("c", cases("a", 0)), build_metrics("d", cases("b", 1))])


def test_no_case_is_an_empty_summary() -> None:
    metrics = build_metrics("c", {})
    assert metrics.mean_dice.n == 0 and metrics.summary == {} and metrics.folds == []


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_metrics(path, build_metrics("c", cases("a", 0)))
    content = json.loads(path.read_text())
    content["cases"]["a"]["dise"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="dise"):
        read_metrics(path)
