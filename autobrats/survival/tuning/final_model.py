"""From what was chosen to a model that predicts: fitted to all patients, calibrated on those whom a fit did not see."""

from __future__ import annotations

from collections.abc import Sequence

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.selection import RankingCache
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import SurvivalModel
from autobrats.survival.tuning.folds import survival_folds
from autobrats.survival.tuning.objectives import Objective
from autobrats.survival.tuning.out_of_fold import predict_out_of_fold

_OTHER_FOLDS = 7919
"""Added to the seed: calibration takes other folds than the search, whose winners look too good in theirs."""


def build_model(
    specs: Sequence[ModelSpec],
    cohort: Cohort,
    objective: Objective,
    *,
    folds: int = 5,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> SurvivalModel:
    """Fit and calibrate the average of some models.

    Args:
        specs: one, or those that are averaged.
        cohort: the patients to learn from.
        objective: what the specs were chosen by.
        folds: of the cross-validation on which probabilities, intervals and the scales of risks stand.
        seed: of the folds and the fits.
        notes: for people, kept in the model.

    Raises:
        UserError: as :func:`autobrats.survival.models.fitting.fit_model`.
    """
    partition = survival_folds(cohort.days, cohort.died, folds, seed + _OTHER_FOLDS)
    rankings = RankingCache()
    told = [predict_out_of_fold(spec, cohort, partition, seed=seed, rankings=rankings) for spec in specs]
    fitted = [fit_model(spec, cohort, seed=seed, rankings=rankings) for spec in specs]
    return SurvivalModel.assemble(fitted, told, cohort, objective=objective, notes=notes)
