"""What all trials of a hard-mining study have in common: how long they train, which cases rank and which score."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.tuning.hard_mining_fine_tuning import FoldTuning
from autobrats.tuning.hard_mining_space import planned_choice

_log = logging.getLogger(__name__)

MOST_S = 180.0
"""That the steps of a trial may take on a fold."""
LEAST_STEPS = 10
LEAST_SCORED = 12
"""Held-back cases of a fold that are scored, however long it takes."""
LOOKING_SHARE = 0.1
"""Of the hours, what finding the hard cases may take; then a sample of the training cases is looked at."""
TRAINING_SHARE = 0.5
"""Of the hours, what the steps of all trials may take; the rest is for scoring."""


class StudySetup(BaseModel):
    """The same for every trial, whoever runs it.

    Attributes:
        steps: of the optimiser on a fold.
        looked_at: the training cases among which the hard ones are found, by fold.
        scored: the held-back cases that are scored, by fold.
    """

    model_config = ConfigDict(extra="forbid")

    steps: int
    looked_at: dict[str, list[str]]
    scored: dict[str, list[str]]


def make_setup(
    folds: Sequence[FoldTuning], patients: Mapping[str, str], trials: int, limit_s: float | None, seed: int
) -> StudySetup:
    """Measure what a step and a case take, and share the time out.

    As many steps as the hook would take of the training, but at most ``MOST_S`` seconds of them, and no more than all
    trials together can be given. All held-back cases are scored where that takes no longer than the steps, else a sample by
    patient.

    Args:
        folds: of the study.
        patients: patient by case.
        trials: of the study.
        limit_s: seconds for the whole study; None for no limit.
        seed: of the sample.
    """
    _log.info("Looking for the hard training cases of %d folds; this is done once.", len(folds))
    looked_at = {}
    for fold in folds:
        training = fold.job.training_cases
        fold.predict_starting(training, None if limit_s is None else LOOKING_SHARE * limit_s / len(folds))
        looked_at[fold.fold] = list(fold.starting_dice(training))
    planned = planned_choice(folds[0].job.configuration)
    step_s = folds[0].measure_step_s(planned)
    most_s = MOST_S if limit_s is None else min(MOST_S, TRAINING_SHARE * limit_s / max(1, trials) / len(folds))
    usual = round(planned.share * min(fold.iterations for fold in folds))
    steps = max(LEAST_STEPS, min(usual, int(most_s / step_s)))
    scored = {
        fold.fold: _sample(fold.job.validation_cases, patients, int(steps * step_s / fold.seconds_a_case), seed)
        for fold in folds
    }
    _log.info(
        "A trial takes %d steps of %.2f s on each fold, and scores %s held-back cases of %.2f s.",
        steps,
        step_s,
        " + ".join(str(len(cases)) for cases in scored.values()),
        folds[0].seconds_a_case,
    )
    return StudySetup(steps=steps, looked_at=looked_at, scored=scored)


def _sample(cases: Sequence[str], patients: Mapping[str, str], most: int, seed: int) -> list[str]:
    """All cases, or those of some patients, about ``most`` and at least ``LEAST_SCORED``."""
    wanted = max(most, LEAST_SCORED)
    owners = sorted({patients[case] for case in cases})
    kept: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(owners)):
        if len(kept) >= wanted:
            break
        kept += [case for case in cases if patients[case] == owners[index]]
    return sorted(kept)
