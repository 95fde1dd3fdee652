"""Whether the tuned model is taken: only if it beats the best baseline by more than the interval of their difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.survival.cohort import Cohort
from autobrats.survival.tuning.nested import TUNED
from autobrats.survival.tuning.nested_scores import nested_gain, nested_scores
from autobrats.survival.tuning.objectives import METRICS, TITLES, Objective
from autobrats.survival.tuning.split_record import ARRAYS

Repeats = Sequence[SurvivalPredictions]


@dataclass(frozen=True)
class Decision:
    """What was decided, and on what it stands.

    Attributes:
        chosen: ``tuned`` or a baseline.
        baseline: the best one.
        gain: of the tuned model over it; above 0 is better.
        sentence: for people.
    """

    chosen: str
    baseline: str
    gain: Score
    sentence: str


def decide(
    cohort: Cohort,
    predictions: Mapping[str, Repeats],
    folds: np.ndarray,
    baselines: Sequence[str],
    objective: Objective,
) -> Decision:
    """Compare the tuned model with the best baseline on patients whom neither saw.

    Args:
        cohort: the patients.
        predictions: nested ones by name, one a repeat: ``tuned`` and the baselines.
        folds: of the patients, shape (repeat, patient).
        baselines: their names, the simplest first; of equally good ones the first counts as the best.
        objective: what is compared.
    """
    best = _best(cohort, predictions, folds, baselines, objective)
    gain = nested_gain(METRICS[objective], cohort, predictions[TUNED], predictions[best], folds)
    better = gain.low is not None and gain.low > 0
    return Decision(TUNED if better else best, best, gain, _sentence(best, gain, better, objective))


def decided_without(
    cohort: Cohort,
    predictions: Mapping[str, Repeats],
    folds: np.ndarray,
    baselines: Sequence[str],
    objective: Objective,
) -> tuple[list[SurvivalPredictions], dict[tuple[int, int], str]]:
    """What the procedure says of patients, the decision included: one prediction a repeat, and what was taken.

    The patients of each outer fold get the predictions of what :func:`decide` takes on all patients outside of it. The models
    whose predictions it compares there have learnt from the fold too: to repeat the decision wholly without it would take
    another level of nesting, and the number of folds times as long.

    Arguments are those of :func:`decide`.

    Returns:
        The predictions, and what was taken by (repeat, fold).
    """
    composed, taken = [], {}
    for repeat, of_patient in enumerate(folds):
        chosen = np.empty(len(cohort), object)
        for fold in np.unique(of_patient):
            others = np.flatnonzero(of_patient != fold)
            theirs = {name: [it.rows(others) for it in predictions[name]] for name in (TUNED, *baselines)}
            name = decide(cohort.rows(others), theirs, folds[:, others], baselines, objective).chosen
            chosen[of_patient == fold] = taken[repeat, int(fold)] = name
        composed.append(_patchwork({name: predictions[name][repeat] for name in set(chosen)}, chosen))
    return composed, taken


def _best(
    cohort: Cohort,
    predictions: Mapping[str, Repeats],
    folds: np.ndarray,
    baselines: Sequence[str],
    objective: Objective,
) -> str:
    metric = METRICS[objective]
    sign = -1 if objective == "mse" else 1

    def value(name: str) -> float:
        score = nested_scores(cohort, predictions[name], folds, [metric], intervals=False)[metric].value
        return -np.inf if score is None else sign * score

    return max(baselines, key=value)


def _patchwork(predictions: Mapping[str, SurvivalPredictions], chosen: np.ndarray) -> SurvivalPredictions:
    """Of every patient the prediction that was chosen for it."""
    first = next(iter(predictions.values()))
    joined = {}
    for field in ARRAYS:
        values = getattr(first, field).copy()
        for name, predicted in predictions.items():
            values[chosen == name] = getattr(predicted, field)[chosen == name]
        joined[field] = values
    return SurvivalPredictions(curve_days=first.curve_days, **joined)


def gain_told(gain: Score, baseline: str, objective: Objective) -> str:
    """A difference in words, with its interval."""
    if gain.value is None:
        return f"It cannot be compared with '{baseline}': {gain.reason}."
    digits, unit = (0, " days²") if objective == "mse" else (3, "")
    ends = "no interval" if gain.low is None else f"95 % interval {gain.low:+.{digits}f} to {gain.high:+.{digits}f}"
    word = "MSE lower by" if objective == "mse" else TITLES[objective]
    return f"{word} {gain.value:+.{digits}f}{unit} against '{baseline}' ({ends}), on patients that neither saw."


def _sentence(best: str, gain: Score, better: bool, objective: Objective) -> str:
    if gain.value == gain.low == gain.high == 0:
        return f"'{best}' is taken: the search itself came to it in every fold."
    told = gain_told(gain, best, objective)
    if better:
        return f"The tuned model is taken: {told}"
    return f"'{best}' is taken, because the tuned model does not beat it beyond the interval: {told}"
