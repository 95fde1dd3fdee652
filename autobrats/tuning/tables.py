"""The files that a tuning leaves beside its journal: trials.csv and result.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autobrats.files import write_csv, write_json
from autobrats.plan import Part
from autobrats.tuning.postprocessing_search import TrialRecord
from autobrats.tuning.postprocessing_tuning import PostprocessingResult

TRIALS, RESULT = "trials.csv", "result.json"


def write_tuning_files(folder: Path, result: PostprocessingResult | None, parts: list[Part]) -> None:
    """Write the trials of the search over all cases, and what it led to.

    Args:
        result: of the tuning; None if there was none, and the files of an older one go.
        parts: what is applied; empty if nothing is.
    """
    if result is None:
        for name in (TRIALS, RESULT):
            (folder / name).unlink(missing_ok=True)
        return
    columns = sorted({name for trial in result.search.trials for name in trial.params})
    write_csv(
        folder / TRIALS,
        ["trial", "objective", "mean_dice", "mean_hd95_mm", "on_pareto_front", *columns],
        [
            [
                trial.number,
                f"{trial.objective:.6f}",
                f"{trial.dice:.6f}",
                f"{trial.hd95:.4f}",
                int(trial.on_front) if result.pareto else "",
                *(trial.params.get(name, "") for name in columns),
            ]
            for trial in result.search.trials
        ],
    )
    gain = result.gain
    write_json(
        folder / RESULT,
        {
            "sentence": result.sentence,
            "applied": result.applied,
            "objective": result.objective,
            "trials": len(result.search.trials),
            "seconds": round(result.search.seconds, 1),
            "chosen": best_trial(result).params,
            "nested_gain": {
                name: dict(zip(("mean", "low", "high"), getattr(gain, name), strict=True))
                for name in ("objective", "dice", "hd95")
            },
            "dice": {"default": gain.default_dice, "chosen": gain.chosen_dice},
            "hd95_mm": {"default": gain.default_hd95, "chosen": gain.chosen_hd95},
            "importances": result.search.importances,
            "postprocessing": [part.model_dump(mode="json") for part in parts],
        },
    )


def best_trial(result: PostprocessingResult) -> TrialRecord:
    """The trial with the highest objective; the first of equals."""
    return max(result.search.trials, key=lambda trial: (trial.objective, -trial.number))


def shown_params(params: dict[str, Any]) -> str:
    """``ET.min_volume 200 mm3, WT.threshold 0.45``; ``default`` without any."""
    told = []
    for name, value in params.items():
        unit = next((of for of in ("_mm3", "_mm") if name.endswith(of)), "")
        told.append(f"{name.removesuffix(unit)} {value}{' ' + unit[1:] if unit else ''}")
    return ", ".join(told) or "default"
