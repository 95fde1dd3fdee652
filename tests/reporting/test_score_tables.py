"""Scores as tables: distributions, and why a case is poor."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from autobrats.evaluation.metrics_file import build_metrics, case_metrics
from autobrats.reporting.score_tables import worst_cases, write_score_tables


def scores(dice: float, predicted: float, true: float, sensitivity: float = 0.8, precision: float = 0.8) -> dict:
    return {
        "dice": dice,
        "sensitivity": sensitivity,
        "precision": precision,
        "volume_ml": predicted,
        "reference_volume_ml": true,
    }


@pytest.fixture
def metrics():
    good = scores(0.9, 10, 10)
    cases = {
        "fine": {"WT": scores(0.95, 20, 20), "ET": good},
        "imagined": {"WT": good, "ET": scores(0.0, 0.12, 0.0)},
        "missed": {"WT": scores(0.4, 2, 9), "ET": scores(0.0, 0.0, 0.05)},
        "small": {"WT": scores(0.3, 3, 12, sensitivity=0.2), "ET": good},
        "large": {"WT": scores(0.31, 30, 6, precision=0.2), "ET": good},
    }
    return build_metrics("c", {name: case_metrics(name, of, 0) for name, of in cases.items()})


def test_the_worst_come_first_with_the_reason(metrics) -> None:
    worst = worst_cases(metrics, 4)
    assert [poor.case for poor in worst] == ["missed", "imagined", "small", "large"]
    assert worst[0].reason == "the reference has 0.05 ml of ET, and none was predicted"
    assert worst[1].reason == "the reference has no ET, and 0.12 ml were predicted"
    assert worst[2].reason == "most of WT was missed: 3 ml of 12 ml"
    assert worst[3].reason == "most of what was called WT is not: 30 ml for 6 ml"
    assert worst[1].dice == {"WT": 0.9, "ET": 0.0, "mean": 0.45}


def test_the_tables_have_the_distribution_and_every_case(metrics, tmp_path: Path) -> None:
    write_score_tables(tmp_path, metrics)
    lines = {
        (it["region"], it["metric"]): it for it in csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())
    }
    values = [0.95, 0.9, 0.4, 0.3, 0.31]
    line = lines["WT", "dice"]
    assert float(line["mean"]) == pytest.approx(np.mean(values), rel=1e-4)
    assert float(line["std"]) == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    assert [float(line[key]) for key in ("q25", "median", "q75")] == pytest.approx(np.percentile(values, [25, 50, 75]))
    rows = list(csv.DictReader((tmp_path / "worst_cases.csv").read_text().splitlines()))
    assert [row["case"] for row in rows] == ["missed", "imagined", "small", "large", "fine"]
    assert float(rows[-1]["mean"]) == pytest.approx(0.925)
