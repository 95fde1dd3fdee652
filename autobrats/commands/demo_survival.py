"""The part of the demo that predicts survival: patients whose days follow a known law, and how well it was found."""

from __future__ import annotations

import csv
from pathlib import Path

SURVIVAL_TRIALS = 12


def train_arguments(patients: Path, model: Path, seed: int) -> list[str]:
    """Of autobrats_survival_train for the demo's patients: masks and ages, no images."""
    return [
        *("-s", str(patients), "--clinical", str(patients / "cases.csv"), "-o", str(model), "--no-radiomics"),
        *("--trials", str(SURVIVAL_TRIALS), "--repeats", "1", "--seed", str(seed)),
    ]


def report_survival(patients: Path, new_studies: Path, segmentations: Path, model: Path) -> None:
    """Print the new patients' predicted and true days, and how much of the law the model has found."""
    import numpy as np

    from autobrats.evaluation.survival.portal import portal_scores
    from autobrats.evaluation.survival.prediction_file import read_predictions
    from autobrats.phantoms.folder import LAW_FILE
    from autobrats.reporting.page.survival_data import STORY_FILE, read_story
    from autobrats.reporting.tables import print_table

    told = read_predictions(segmentations / "survival.csv")
    days = _column(new_studies / "cases.csv", "survival_days")
    law = _column(new_studies / LAW_FILE, "median_days")
    predicted = told.predictions
    assert predicted.days is not None and predicted.days_low is not None and predicted.days_high is not None
    rows = [
        [name, f"{at:.0f}", f"{low:.0f} to {high:.0f}", f"{law[name]:.0f}", f"{days[name]:.0f}"]
        for name, at, low, high in zip(told.patients, predicted.days, predicted.days_low, predicted.days_high)
    ]
    print()
    print_table(
        ["new patient", "predicted days", "90 % interval", "median by the law", "lived"],
        rows,
        title="Survival of the new patients, from the predicted masks and their ages",
    )
    story = read_story(model / STORY_FILE)
    chosen = next(row for row in story.models if row.chosen)
    age = next(row for row in story.models if row.name == "age")
    true_days, by_law = _column(patients / "cases.csv", "survival_days"), _column(patients / LAW_FILE, "median_days")
    names = list(true_days)
    best = portal_scores(*(np.array([values[name] for name in names]) for values in (true_days, by_law)))
    found, ages = (row.nested["spearman_r"].value for row in (chosen, age))
    print(
        f"Rank correlation with the days of {len(names)} patients, none of whom the scored models saw: {found:.3f}; "
        f"age alone {ages:.3f}; the law itself {best['spearman_r']:.3f} (it does not know a patient's luck either)."
    )


def _column(file: Path, name: str) -> dict[str, float]:
    with open(file, encoding="utf-8", newline="") as table:
        return {row["case"]: float(row[name]) for row in csv.DictReader(table)}
