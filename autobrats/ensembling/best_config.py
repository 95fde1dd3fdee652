"""The model folder of the chosen configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.model_search import ModelChoice
from autobrats.evaluation.metrics_file import Metrics
from autobrats.inference.model_folder import write_model_folder
from autobrats.workspace import DatasetFolder

EXPECTED_METRICS = ("dice", "hd95", "sensitivity", "precision")


def write_best_config(folder: DatasetFolder, choice: ModelChoice, candidates: Sequence[Candidate]) -> Path:
    """Write the model folder of what was chosen, in the place of an older one; where it is."""
    missing = {of.configuration: of.missing_modality_dice for of in candidates}
    single = choice.best_single
    write_model_folder(
        folder.model,
        choice.plan,
        choice.networks,
        expected=None if choice.expected is None else expected_scores(choice.expected),
        metrics=choice.expected,
        missing_modality_dice=missing[choice.mixture.configurations[0]] if choice.mixture.is_single else None,
        postprocessing=choice.postprocessing,
        combination=choice.mixture.combination,
        best_single=None
        if single is None
        else {"configuration": single[0], "mean_dice": single[1].mean_dice.model_dump(mode="json")},
        tuning=None if choice.tuning is None else choice.tuning.sentence,
        cost=choice.cost,
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
