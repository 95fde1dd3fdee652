"""Which configuration is best by its out-of-fold scores, and how well it will do on new patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.ensembling.candidates import Candidate
from autobrats.evaluation.metrics_file import Metrics, build_metrics, pool_metrics
from autobrats.evaluation.summary import bootstrap_interval

NESTED_GROUPS = 5


@dataclass(frozen=True)
class Difference:
    """The mean of best minus other over the same cases (mean Dice over regions), with a 95 % interval by patient."""

    other: str
    mean: float
    low: float | None
    high: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies above zero."""
        return self.low is not None and self.low > 0


@dataclass(frozen=True)
class Selection:
    """The outcome of the comparison.

    Attributes:
        best: what was chosen.
        compared: each candidate's scores on the cases that all of them have, by configuration, best first.
        expected: the scores to expect on new patients (nested over the choice); None without out-of-fold scores.
        differences: best minus each other candidate.
        notes: sentences that qualify the choice.
    """

    best: Candidate
    compared: dict[str, Metrics]
    expected: Metrics | None
    differences: list[Difference]
    notes: list[str]


def select_best(candidates: Sequence[Candidate], *, wanted: str | None = None, seed: int = 0) -> Selection:
    """Choose the candidate with the highest mean over cases of the mean Dice over regions.

    Candidates are compared only on cases that all of them have predicted out of fold. The expected scores of a choice
    between several are nested: for each fifth of the patients the choice is made on the others (Varma and Simon 2006,
    doi:10.1186/1471-2105-7-91).

    Args:
        wanted: the candidate that the user has chosen already; the others are only compared with it.

    Raises:
        ValueError: if no candidate is trained.
    """
    trained = [candidate for candidate in candidates if candidate.is_trained]
    if not trained:
        raise ValueError("no candidate is trained")
    scored = {candidate.configuration: candidate.metrics for candidate in trained if candidate.metrics is not None}
    if not scored:
        note = "Only fold 'all' is trained: there is no validation, so nothing can be said about the scores to expect."
        return Selection(trained[0], {}, None, [], [note])

    notes = []
    common = set.intersection(*(set(metrics.cases) for metrics in scored.values()))
    if common:
        compared = {name: pool_metrics([metrics], only=common, seed=seed) for name, metrics in scored.items()}
        if any(len(metrics.cases) > len(common) for metrics in scored.values()):
            notes.append(f"The configurations are compared on the {len(common)} cases that all of them have predicted.")
    else:
        compared = scored
        notes.append(
            "The configurations were not validated on the same cases, so their scores can hardly be compared; "
            "train the same folds of each."
        )
    compared = dict(sorted(compared.items(), key=lambda item: _level(item[1]), reverse=True))
    chosen = next(iter(compared)) if wanted is None else wanted
    differences = [_difference(compared[chosen], metrics) for name, metrics in compared.items() if name != chosen]
    expected = scored[chosen]
    if len(compared) > 1 and common and wanted is None:
        expected = nested_scores(compared, best_by_mean_dice, seed=seed)
    best = next(candidate for candidate in trained if candidate.configuration == chosen)
    return Selection(best, compared, expected, differences, notes)


def best_by_mean_dice(metrics: Mapping[str, Metrics]) -> str:
    """The name of the best; the first of equals."""
    return max(metrics, key=lambda name: _level(metrics[name]))


def nested_scores(
    metrics: Mapping[str, Metrics], choose: Callable[[Mapping[str, Metrics]], str], *, seed: int = 0
) -> Metrics:
    """Scores of a choice on patients that the choice did not see.

    The patients are dealt into five groups; for each, ``choose`` is given the scores of the other groups and its choice
    is scored on the group. All entries of ``metrics`` must have the same cases.
    """
    first = next(iter(metrics.values()))
    names = {name: case.patient for name, case in first.cases.items()}
    patients = sorted(set(names.values()))
    if len(patients) < 2:
        return metrics[choose(metrics)]
    np.random.default_rng(seed).shuffle(patients)
    group_of = {patient: index % NESTED_GROUPS for index, patient in enumerate(patients)}
    cases = {}
    for group in sorted(set(group_of.values())):
        held_back = {name for name, patient in names.items() if group_of[patient] == group}
        seen = {name: pool_metrics([scores], only=names.keys() - held_back) for name, scores in metrics.items()}
        chosen = metrics[choose(seen)]
        cases.update({name: chosen.cases[name] for name in held_back})
    return build_metrics(choose(metrics), cases, seed=seed)


def _difference(best: Metrics, other: Metrics) -> Difference:
    """Paired over the common cases; without any, the difference of the means."""
    pairs = [
        (case.mean_dice - other.cases[name].mean_dice, case.patient)  # type: ignore[operator]
        for name, case in best.cases.items()
        if name in other.cases and case.mean_dice is not None and other.cases[name].mean_dice is not None
    ]
    if not pairs:
        return Difference(other.configuration, _level(best) - _level(other), None, None)
    values = np.array([value for value, _ in pairs])
    low, high = bootstrap_interval(values, [patient for _, patient in pairs])
    return Difference(other.configuration, float(values.mean()), low, high)


def _level(metrics: Metrics) -> float:
    return -1.0 if metrics.mean_dice.mean is None else metrics.mean_dice.mean
