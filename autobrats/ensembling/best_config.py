"""The model folder of the chosen configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autobrats.ensembling.selection import Selection
from autobrats.evaluation.metrics_file import Metrics
from autobrats.inference.model_folder import write_model_folder
from autobrats.plan import Plan
from autobrats.workspace import DatasetFolder

EXPECTED_METRICS = ("dice", "hd95", "sensitivity", "precision")


def write_best_config(folder: DatasetFolder, plan: Plan, selection: Selection) -> Path:
    """Write the model folder of what was chosen, in the place of an older one; where it is."""
    best = selection.best
    write_model_folder(
        folder.model,
        plan,
        best.networks,
        expected=None if selection.expected is None else expected_scores(selection.expected),
        metrics=best.metrics,
        missing_modality_dice=best.missing_modality_dice,
    )
    return folder.model


def expected_scores(metrics: Metrics) -> dict[str, Any]:
    """What best_config.json says of the scores: a summary for each region and metric, and of the mean Dice."""
    return {
        "mean_dice": metrics.mean_dice.model_dump(mode="json"),
        "regions": {
            region: {
                metric: summary[metric].model_dump(mode="json") for metric in EXPECTED_METRICS if metric in summary
            }
            for region, summary in metrics.summary.items()
        },
    }
