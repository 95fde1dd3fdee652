"""What models say of patients whom they did not learn from, and how well."""

from __future__ import annotations

import numpy as np

from autobrats.evaluation.survival.classes import has_certain_class
from autobrats.evaluation.survival.concordance import harrell_c
from autobrats.evaluation.survival.portal import portal_scores, survival_classes
from autobrats.survival.cohort import Cohort
from autobrats.survival.models.calibration import ClassCalibration, RiskCalibration
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.selection import RankingCache
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import OutOfFold, mean_of_members, risk_spread
from autobrats.survival.tuning.objectives import Objective


def predict_out_of_fold(
    spec: ModelSpec, cohort: Cohort, folds: np.ndarray, *, seed: int, rankings: RankingCache | None = None
) -> OutOfFold:
    """Predict every patient by the model that was fitted without the patient's fold.

    Args:
        spec: the model.
        cohort: all patients.
        folds: of each of them, shape (patient,).
        seed: of what is random in the fits.
        rankings: of features, shared between calls.

    Raises:
        UserError: as :func:`autobrats.survival.models.fitting.fit_model`.
    """
    risk = np.empty(len(cohort))
    log_days = np.empty(len(cohort)) if spec.predicts_time else None
    class_scores = np.empty((len(cohort), 3)) if spec.classifier is not None else None
    for fold in np.unique(folds):
        held = np.flatnonzero(folds == fold)
        model = fit_model(spec, cohort.rows(np.flatnonzero(folds != fold)), seed=seed, rankings=rankings)
        table = cohort.features.rows(held)
        risk[held] = model.risk(table)
        if log_days is not None:
            log_days[held] = model.log_days(table)
        if class_scores is not None:
            class_scores[held] = model.class_scores(table)
    return OutOfFold(risk, log_days, class_scores)


def averaged(predictions: list[OutOfFold]) -> OutOfFold:
    """The mean of several models' predictions, as :class:`SurvivalModel` takes it: risks are standardised before."""

    risk = np.mean([(it.risk - it.risk.mean()) / risk_spread(it.risk) for it in predictions], axis=0)
    return OutOfFold(
        risk,
        mean_of_members([it.log_days for it in predictions]),
        mean_of_members([it.class_scores for it in predictions]),
    )


def fold_scores(
    objective: Objective, class_output: str, cohort: Cohort, predicted: OutOfFold, folds: np.ndarray
) -> np.ndarray:
    """The objective in each fold, shape (fold,); higher is better, a fold without an answer gets that of chance.

    Order is judged within a fold, because the risks of two folds come from two models. Days and classes that need a
    calibration get it from the other folds.

    Args:
        objective: the mean squared error is given as minus its square root, in days.
        class_output: of the spec: where classes come from.
        cohort: the patients.
        predicted: of all of them.
        folds: shape (patient,).
    """
    return np.array(
        [
            _score(
                objective, class_output, cohort, predicted, np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            )
            for fold in np.unique(folds)
        ]
    )


def _score(
    objective: Objective,
    class_output: str,
    cohort: Cohort,
    predicted: OutOfFold,
    held: np.ndarray,
    others: np.ndarray,
) -> float:
    days, died = cohort.days[held], cohort.died[held]
    if objective == "c_index":
        concordance = harrell_c(days, died, predicted.risk[held])
        return 0.5 if np.isnan(concordance) else concordance
    if objective == "accuracy":
        certain = has_certain_class(days, died)
        told = _classes(class_output, cohort, predicted, held, others)
        return float((told == survival_classes(days))[certain].mean()) if certain.any() else 1 / 3
    if not died.any():
        return 0.0
    scores = portal_scores(days[died], _days(cohort, predicted, held, others)[died])
    if objective == "spearman":
        return 0.0 if np.isnan(scores["spearman_r"]) else scores["spearman_r"]
    return -float(np.sqrt(scores["mse"]))


def _days(cohort: Cohort, predicted: OutOfFold, held: np.ndarray, others: np.ndarray) -> np.ndarray:
    if predicted.log_days is not None:
        return np.exp(predicted.log_days[held])
    return _calibration(cohort, predicted, others).days(predicted.risk[held])


def _classes(
    class_output: str, cohort: Cohort, predicted: OutOfFold, held: np.ndarray, others: np.ndarray
) -> np.ndarray:
    if class_output == "days":
        return survival_classes(_days(cohort, predicted, held, others))
    if predicted.class_scores is None:
        return _calibration(cohort, predicted, others).class_probabilities(predicted.risk[held]).argmax(axis=1)
    scores = predicted.class_scores
    calibration = ClassCalibration.fit(scores[others], cohort.days[others], cohort.died[others])
    return calibration.apply(scores[held]).argmax(axis=1)


def _calibration(cohort: Cohort, predicted: OutOfFold, others: np.ndarray) -> RiskCalibration:
    return RiskCalibration.fit(predicted.risk[others], cohort.days[others], cohort.died[others])
