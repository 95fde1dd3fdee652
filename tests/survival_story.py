"""A survival story as a tuning would leave it; its names would break a page that does not escape them."""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.evaluation.survival.scores import score_survival
from autobrats.reporting.page.survival_data import FeatureImportance, ModelScores, SurvivalStory, patients_of

HOSTILE = "<script>alert('&\"patient\"')</script>"
METRICS = ("c_harrell", "accuracy", "mse", "median_se", "std_se", "spearman_r", "interval_coverage")


def made_up_survival(number: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, SurvivalPredictions]:
    """Days, died, and predictions that know the risk with some error."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=number)
    risk = truth + rng.normal(0, 0.7, number)
    life, lost = rng.exponential(650 * np.exp(-0.9 * truth)), rng.uniform(100, 2000, number)
    scale = 650 * np.exp(-0.6 * risk)
    alive = np.exp(-np.array([300.0, 450.0]) / scale[:, None])
    probabilities = np.stack([1 - alive[:, 0], alive[:, 0] - alive[:, 1], alive[:, 1]], axis=1)
    predicted = SurvivalPredictions(
        days=scale * np.log(2),
        risk=risk,
        days_low=scale * 0.05,
        days_high=scale * 3,
        probabilities=probabilities,
    )
    return np.ceil(np.minimum(life, lost)), life <= lost, predicted


def made_up_story(number: int = 60, seed: int = 0) -> SurvivalStory:
    """Of so many patients, the first with a hostile name."""
    days, died, predicted = made_up_survival(number, seed)
    assert predicted.risk is not None and predicted.days is not None
    blurred = SurvivalPredictions(days=np.sqrt(predicted.days * 400), risk=predicted.risk * 0.5 + np.sin(days))
    scores, other = (score_survival(days, died, it).scores for it in (predicted, blurred))

    def some(of: dict) -> dict:
        return {name: of[name] for name in METRICS if of[name].value is not None}

    names = [HOSTILE, *(f"case_{index:03d}" for index in range(1, number))]
    return SurvivalStory(
        title="Survival of made-up patients",
        created="2026-01-02 03:04",
        chosen=[
            "The model is a Cox regression on 2 features: age and <the> grade.",
            "No model beats age and grade beyond its interval: the best search is 0.004 ahead (−0.012 to 0.020).",
        ],
        how_estimated=f"Nested cross-validation, 5 folds by patient repeated 4 times, {number} patients.",
        models=[
            ModelScores(
                name="tuned", kind="tuned", chosen=True, nested=some(scores), training=some(scores), features=2
            ),
            ModelScores(name="age alone", kind="baseline", nested=some(other), training=some(other), features=1),
            ModelScores(name="anand2020", kind="recipe", nested=some(other), features=32),
        ],
        patients=patients_of(names, days, died, predicted),
        interval_share=0.9,
        importances=[
            FeatureImportance(feature="clinical_age", value=0.09, low=0.05, high=0.13),
            FeatureImportance(feature="clinical_grade", value=0.04, low=0.01, high=0.07),
            FeatureImportance(feature="WT_wavelet_<long>_glcm_InverseDifferenceMomentNormalised", value=-0.004),
        ],
        null_checks=["With survival times shuffled, the C-index was 0.503 (0.461 to 0.544), as it should be."],
        notes=["IDH was not given for 3 patients."],
        facts={"autobrats": "0.1", "command": "autobrats_survival_train"},
    )
