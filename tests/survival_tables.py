"""Tables of made-up patients as files, and small survival models that read named columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
from survival.made_up_cohort import made_up_cohort

from autobrats.files import write_csv, write_json
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.model_file import save_model
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.training_files import FEATURES_FILE, FeatureSource
from autobrats.survival.tuning.final_model import build_model


def write_tables(folder: Path, patients: int = 40, *, censored: float = 0.0) -> tuple[Path, Path]:
    """features.csv with three features that say nothing, and clinical.csv; half of the patients had a GTR."""
    cohort = made_up_cohort(patients, noise_features=2, censored=censored)
    names = ("load", "noise_1", "noise_2")
    table = cohort.features
    rows = [[name, *values[1:]] for name, values in zip(table.patients, table.values.tolist(), strict=True)]
    write_csv(folder / "features.csv", ["ID", *names], rows)
    write_csv(
        folder / "clinical.csv",
        ["ID", "Age", "OS", "1-dead 0-alive", "EOR"],
        [
            [name, f"{age:.1f}", f"{days:.0f}", int(died), "GTR" if number % 2 else "STR"]
            for number, (name, age, days, died) in enumerate(
                zip(table.patients, table.column("clinical_age").clip(1, 99), np.ceil(cohort.days), cohort.died)
            )
        ],
    )
    return folder / "features.csv", folder / "clinical.csv"


def write_survival_model(
    folder: Path, columns: tuple[str, ...], source: Literal["images", "table", "clinical"] = "images", seed: int = 0
) -> Path:
    """A model that reads these columns, all of which matter to it."""
    rng = np.random.default_rng(seed)
    values = rng.normal(60, 12, (60, len(columns)))
    days = np.ceil(400 * np.exp(-0.02 * (values - 60).sum(axis=1) + rng.normal(0, 0.3, 60)))
    table = FeatureTable(tuple(f"P{number}" for number in range(60)), columns, values)
    model = build_model([ModelSpec(columns=columns, model="ridge")], Cohort(table, days, np.ones(60, bool)), "spearman")
    save_model(folder, model)
    write_json(folder / FEATURES_FILE, FeatureSource(source=source))
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV by column."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_predictions(path: Path) -> list[dict[str, str]]:
    """The rows of a survival.csv, which must make sense."""
    rows = rows_of(path)
    assert list(rows[0]) == ["patient", "days", "days_low", "days_high", "class", "p_short", "p_mid", "p_long", "risk"]
    for row in rows:
        days = float(row["days"])
        assert 0 <= float(row["days_low"]) <= days <= float(row["days_high"])
        assert np.isclose(sum(float(row[f"p_{name}"]) for name in ("short", "mid", "long")), 1, atol=2e-4)
        assert row["class"] == ("short" if days < 300 else "long" if days > 450 else "mid")
        assert np.isfinite(float(row["risk"]))
    return rows
