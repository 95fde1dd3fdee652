"""survival_metrics.json: how good predictions of survival are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.survival.calibration import Calibration
from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.portal import PORTAL_METRICS
from autobrats.files import read_model, write_csv, write_json

CLASS_METRICS = ("class_accuracy", "balanced_accuracy")
ORDER_METRICS = ("c_harrell", "c_ipcw", "auc_300", "auc_450", "auc_mean")
PROBABILITY_METRICS = ("brier_300", "brier_450", "brier_integrated")
INTERVAL_METRICS = ("interval_coverage", "interval_width")
SURVIVAL_METRICS = (*PORTAL_METRICS, *CLASS_METRICS, *ORDER_METRICS, *PROBABILITY_METRICS, *INTERVAL_METRICS)
LOWER_IS_BETTER = ("mse", "median_se", "std_se", *PROBABILITY_METRICS, "interval_width")
"""Of the others more is better, but for ``interval_coverage``, which should be what was promised."""


class SurvivalMetrics(BaseModel):
    """survival_metrics.json.

    Attributes:
        patients: who were scored.
        deaths: how many of them died; on these the portal's metrics stand.
        certain_classes: how many have a class for certain: who died, and who was alive after 450 days.
        horizon_days: the last day that metrics with weights for censoring look at.
        scores: by name, all of ``SURVIVAL_METRICS``.
        confusion: patients by class, shape (reference, prediction), in the order short, mid, long; empty without classes.
        calibration: of predicted survival after 300 and 450 days, where it was predicted.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    patients: int
    deaths: int
    certain_classes: int
    horizon_days: float
    scores: dict[str, Score]
    confusion: list[list[int]] = []
    calibration: list[Calibration] = []


def direction_of(metric: str) -> int:
    """1 if higher values of a metric are better, -1 if lower ones are.

    Raises:
        ValueError: if it is not a metric of survival, or neither is better.
    """
    if metric not in SURVIVAL_METRICS or metric == "interval_coverage":
        raise ValueError(f"'{metric}' is not better when it is higher or lower.")
    return -1 if metric in LOWER_IS_BETTER else 1


def write_survival_metrics(path: Path, metrics: SurvivalMetrics) -> None:
    """Write survival_metrics.json atomically."""
    write_json(path, metrics)


def read_survival_metrics(path: Path) -> SurvivalMetrics:
    """Read survival_metrics.json.

    Raises:
        UserError: if it is missing, not JSON or not of this form.
    """
    return read_model(path, SurvivalMetrics)


def write_survival_table(path: Path, metrics: SurvivalMetrics) -> None:
    """Write survival_metrics.csv: a line a metric, empty where it is not defined, with the reason."""
    scores = dict(metrics.scores)
    for it in metrics.calibration:
        scores |= {f"calibration_slope_{it.day:g}": it.slope, f"observed_minus_predicted_{it.day:g}": it.in_the_large}
    rows = [
        [name, *map(_figure, (score.value, score.low, score.high)), score.patients, score.reason]
        for name, score in scores.items()
    ]
    write_csv(path, ["metric", "value", "low", "high", "patients", "reason"], rows)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
