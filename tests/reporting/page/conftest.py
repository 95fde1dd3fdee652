"""A report with something in every section; its names would break a page that does not escape them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from finished_runs import configuration
from made_up_dataset import made_up
from PIL import Image

from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics
from autobrats.plan import Normalisation, Plan, Preprocessing
from autobrats.reporting.page.data import (
    CasePanel,
    Confusion,
    Cost,
    CurvePoint,
    Member,
    RaceRow,
    ReportData,
    TrialPoint,
    TuningStory,
)

HOSTILE = "<script>alert('&\"case\"')</script>"


def scores(name: str, level: float, seed: int = 0) -> Metrics:
    """Of ten cases, the first with a hostile name."""
    random = np.random.default_rng(seed)
    cases = {}
    for index in range(10):
        regions = {}
        for region, less in (("WT", 0.0), ("TC", 0.1), ("ET", 0.2)):
            dice = level - less + random.normal(0, 0.02)
            volume = float(random.uniform(5, 60))
            regions[region] = {
                "dice": dice,
                "hd95": 10 * (1 - dice),
                "sensitivity": dice,
                "precision": dice,
                "volume_ml": volume + float(random.normal(0, 2)),
                "reference_volume_ml": volume,
            }
        cases[HOSTILE if index == 0 else f"case_{index}"] = case_metrics(f"patient_{index}", regions, index % 5)
    return build_metrics(name, cases)


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("L", (3, 2)).save(content, format="PNG")
    return content.getvalue()


@pytest.fixture
def full() -> ReportData:
    dataset, fingerprint = made_up(n_cases=10)
    cases = [dataset.cases[0].model_copy(update={"name": HOSTILE}), *dataset.cases[1:]]
    dataset = dataset.model_copy(update={"name": f"gliomas {HOSTILE}", "cases": cases})
    plan = Plan(
        dataset=dataset.name,
        modalities=dataset.modalities,
        convention=dataset.convention,
        preprocessing=Preprocessing(
            crop_to_brain=True,
            spacing_mm=(1.0, 1.0, 1.0),
            normalisation={modality: Normalisation() for modality in dataset.modalities},
        ),
        configurations={"3d_fullres": configuration(), "3d_fullres_other": configuration()},
    )
    told = (
        f"The plan of {dataset.name}.\n\nFolds: five, by\n  patient.\n\n3d_fullres (recipe default)\n\nLoss: dice <b> & "
        "more.\n\n3d_fullres_other (recipe default)\n\nLoss: other."
    )
    trials = [
        TrialPoint(0, 0.80, {"threshold_WT": 0.5, "keep_largest": False}, values=(0.80, 9.0)),
        TrialPoint(1, 0.81, {"threshold_WT": 0.4, "keep_largest": True}, values=(0.81, 8.0)),
        TrialPoint(2, None, {"threshold_WT": 0.9}, "failed"),
        TrialPoint(3, 0.2, {"threshold_WT": 0.99}, "pruned"),
    ]
    history = [
        {"epoch": 0, "iteration": 10, "loss": 1.5, "quick_dice": {"WT": 0.5, "TC": None}},
        {"epoch": 1, "iteration": 20, "loss": float("nan"), "quick_dice": {}},
        {"epoch": 2, "iteration": 30, "loss": 0.9, "quick_dice": {"WT": 0.7, "TC": 0.6}},
    ]
    compared = {"3d_fullres": scores("3d_fullres", 0.9), "3d_fullres_other": scores("3d_fullres_other", 0.85, 1)}
    return ReportData(
        title=f"Report of {dataset.name}",
        created="21 November 2026",
        dataset=dataset,
        plan=plan,
        plan_told=told,
        fingerprint=fingerprint,
        chosen=["The model is 3d_fullres."],
        expected=compared["3d_fullres"],
        expected_note="Nested.",
        cost=Cost(1.234, 0.5, 5),
        compared=compared,
        chosen_names=["3d_fullres"],
        tuning=TuningStory(
            objective="mean Dice",
            direction="maximize",
            trials=trials,
            default_value=0.80,
            importances={"threshold_WT": 0.75, "keep_largest": 0.25},
            gain=(0.0100, -0.002, 0.021),
            applied=False,
            sentence="The tuning is not applied.",
            pareto=[trials[1]],
            metric_names=["mean Dice", "mean HD95, mm"],
        ),
        curve=[CurvePoint("one", 1, 0.2, 0.79, 0.77, 0.81, False), CurvePoint("five", 5, 1.0, 0.8, None, None, True)],
        members=[Member("3d_fullres", [0, 1, 2, 3, 4], 1.0)],
        cases=[
            CasePanel("case_1", "best", {"WT": 0.95}, "all regions agree", picture()),
            CasePanel(HOSTILE, "worst", {"WT": 0.1}, "most of WT was missed", picture()),
        ],
        confusion=Confusion(["background", "NCR", "ED"], np.array([[900, 0, 100], [30, 60, 10], [0, 0, 0]])),
        histories={"3d_fullres": {"0": history, "1": history[:1]}, "3d_fullres_other": {"0": []}},
        race=[
            RaceRow("3d_fullres", {"100 iterations": 0.71, "200 iterations": 0.78}, "won", "best at the end"),
            RaceRow("3d_fullres_other", {"100 iterations": 0.6}, "left", "behind <the> best"),
        ],
        facts={"Command": "autobrats_find_best_config --trials 4", "Seed": "0"},
    )


@pytest.fixture
def bare(full: ReportData) -> ReportData:
    """Only what is always there."""
    return ReportData(title="Bare", created="today", dataset=full.dataset, plan=full.plan)
