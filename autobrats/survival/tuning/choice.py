"""Which of the trials is taken: the simplest that is not worse than the best by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import OutOfFold
from autobrats.survival.tuning.objectives import Objective
from autobrats.survival.tuning.out_of_fold import averaged, fold_scores

AVERAGED = (3, 5)
"""So many of the best trials are averaged, each of another kind of model or features."""


@dataclass(frozen=True)
class Trial:
    """A model that was tried.

    Attributes:
        name: of a baseline, else of the trial.
        specs: one, or several for an average.
        scores: in every fold of every repeat, shape (repeat * fold,).
        predictions: out of fold, one a repeat.
    """

    name: str
    specs: tuple[ModelSpec, ...]
    scores: np.ndarray
    predictions: tuple[OutOfFold, ...]

    @property
    def mean(self) -> float:
        """Of the scores."""
        return float(self.scores.mean())

    @property
    def complexity(self) -> tuple[float, int]:
        """Of its models: features in all, then the most complex kind."""
        each = [spec.complexity for spec in self.specs]
        return sum(features for features, _ in each), max(kind for _, kind in each)


def choose(trials: Sequence[Trial]) -> Trial:
    """The simplest of the trials that the best does not beat by more than one standard error.

    The rule is that of Breiman et al. (Classification and Regression Trees, 1984, section 3.4.3), with the standard error
    of the paired differences, corrected for training sets that overlap (Nadeau and Bengio, Machine Learning 2003,
    doi:10.1023/A:1024068626366, equation 9).

    Args:
        trials: at least one; all scored in the same folds.
    """
    best = max(trials, key=lambda trial: trial.mean)
    good = [trial for trial in trials if not _is_worse(trial, best)]
    return min(good, key=lambda trial: (trial.complexity, -trial.mean))


def with_averages(
    trials: Sequence[Trial], objective: Objective, cohort: Cohort, repeats: Sequence[np.ndarray]
) -> list[Trial]:
    """The trials, and averages of the best of them.

    Args:
        trials: scored in all ``repeats``.
        objective: what they are scored by.
        cohort: the patients.
        repeats: the folds of the patients, one array a repeat.
    """
    ranked = _different(sorted(trials, key=lambda trial: -trial.mean))
    averages = []
    for number in AVERAGED:
        if len(ranked) < number:
            break
        members = ranked[:number]
        specs = tuple(spec for trial in members for spec in trial.specs)
        predictions = tuple(averaged([trial.predictions[place] for trial in members]) for place in range(len(repeats)))
        output = specs[0].class_output
        scores = np.concatenate(
            [fold_scores(objective, output, cohort, told, folds) for told, folds in zip(predictions, repeats)]
        )
        averages.append(Trial(f"average of {number}", specs, scores, predictions))
    return [*trials, *averages]


def _different(ranked: Sequence[Trial]) -> list[Trial]:
    """Without those that are like a better one in model and source of features, or take classes from somewhere else."""
    kept: list[Trial] = []
    seen = set()
    for trial in ranked:
        spec = trial.specs[0]
        kind = (spec.model, spec.families, spec.columns)
        if kind not in seen and spec.class_output == ranked[0].specs[0].class_output:
            seen.add(kind)
            kept.append(trial)
    return kept


def _is_worse(trial: Trial, best: Trial) -> bool:
    differences = best.scores - trial.scores
    folds = len(differences) / len(trial.predictions)
    error = differences.std(ddof=1) * np.sqrt(1 / len(differences) + 1 / (folds - 1))
    return bool(differences.mean() > error)
