"""The BraTS ranking of several sets of predictions, with a permutation test of every two."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata

from autobrats.evaluation.comparison import COMPARED_METRICS, SAME, holm
from autobrats.evaluation.directions import direction_of
from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.summary import bootstrap_interval

PERMUTATIONS = 100_000
_AT_ONCE = 1000
_UNDEFINED = np.finfo(float).max
"""The cost of a value that is not defined: above every other but that of a missing prediction, which is infinite."""
_ROUNDING = 1e-9
"""Differences of mean ranks this close are the same: they are sums of the same numbers in another order."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Competitor(Strict):
    """One set of predictions in the ranking.

    Attributes:
        place: 1 for the best; equal scores share a place.
        rank_score: the mean over cases of the case's mean rank, from 1 (always the best) to the number of competitors.
        low, high: its 95 % interval, resampled by patient; None for a single patient.
    """

    name: str
    place: int
    rank_score: float
    low: float | None
    high: float | None


class PermutationTest(Strict):
    """Two competitors, the better one first.

    Attributes:
        difference: of their rank scores, 0 or more.
        p: how probable a difference at least as large, in either direction, is if both are equally good.
        p_holm: corrected for all pairs of competitors.
    """

    first: str
    second: str
    difference: float
    p: float
    p_holm: float


class Ranking(Strict):
    """ranking.json.

    Attributes:
        regions, metrics: in which every case was ranked.
        cases, patients: how many.
        permutations, seed: of the tests.
        competitors: the best first.
        tests: of every two competitors.
    """

    regions: list[str]
    metrics: list[str]
    cases: int
    patients: int
    permutations: int
    seed: int
    competitors: list[Competitor]
    tests: list[PermutationTest]

    def test_of(self, one: str, other: str) -> PermutationTest:
        """The test of two competitors, in either order (KeyError if there is none)."""
        for test in self.tests:
            if {test.first, test.second} == {one, other}:
                return test
        raise KeyError((one, other))


def rank_competitors(
    sets: Sequence[Metrics],
    metrics: Sequence[str] = COMPARED_METRICS,
    *,
    failed: Mapping[str, Collection[str]] | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Ranking:
    """Rank sets of predictions as BraTS does (Bakas et al. 2018, arXiv:1811.02629, section on the ranking scheme).

    In each case the competitors are ranked for every region and metric, ties sharing the mean rank; the mean of these
    ranks is the case's cumulative rank, and its mean over cases the final score. A value that is not defined ranks below
    all that are; a case that a competitor did not predict ranks last.

    The test of two competitors exchanges their cumulative ranks at random, all cases of a patient together. It is
    two-sided, and counts the observed order among the permutations, so that p is never 0 (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585); the challenge's own test is one-sided.

    Args:
        sets: two or more, of different names.
        metrics: names from :data:`autobrats.evaluation.directions.COMPARABLE`.
        failed: by competitor, the cases without a usable prediction; cases missing from a set count as well.

    Raises:
        UserError: for a metric that is better neither when higher nor when lower.
        ValueError: for fewer than two sets, or two of one name.
    """
    names = [of.configuration for of in sets]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"a ranking needs two or more sets of different names, got {names}")
    directions = {metric: direction_of(metric) for metric in metrics}
    regions = [region for region in sets[0].summary if all(region in of.summary for of in sets)]
    patients = {name: case.patient for of in sets for name, case in of.cases.items()}
    cases = sorted(patients)
    ranks = _cumulative_ranks(sets, cases, regions, directions, failed or {})
    scores = ranks.mean(axis=0)
    owners = [patients[case] for case in cases]
    intervals = [bootstrap_interval(column, owners, seed=seed) for column in ranks.T]
    places = rankdata(np.round(scores / _ROUNDING), method="min")
    order = np.argsort(scores, kind="stable")
    return Ranking(
        regions=regions,
        metrics=list(metrics),
        cases=len(cases),
        patients=len(set(owners)),
        permutations=permutations,
        seed=seed,
        competitors=[
            Competitor(
                name=names[i],
                place=int(places[i]),
                rank_score=float(scores[i]),
                low=intervals[i][0],
                high=intervals[i][1],
            )
            for i in order
        ],
        tests=_tests([names[i] for i in order], ranks[:, order], owners, permutations, seed),
    )


def _cumulative_ranks(
    sets: Sequence[Metrics],
    cases: Sequence[str],
    regions: Sequence[str],
    directions: Mapping[str, int],
    failed: Mapping[str, Collection[str]],
) -> np.ndarray:
    """The mean rank over regions and metrics of each competitor in each case, shape (case, competitor)."""
    costs = np.empty((len(cases), len(regions), len(directions), len(sets)))
    for index, of in enumerate(sets):
        for row, case in enumerate(cases):
            if case not in of.cases or case in failed.get(of.configuration, ()):
                costs[row, ..., index] = np.inf
                continue
            for column, region in enumerate(regions):
                scores = of.cases[case].regions.get(region, {})
                for number, (metric, direction) in enumerate(directions.items()):
                    value = scores.get(metric)
                    costs[row, column, number, index] = _UNDEFINED if value is None else -direction * value
    return rankdata(_tied(costs), axis=-1).mean(axis=(1, 2))


def _tied(costs: np.ndarray) -> np.ndarray:
    """Numbers in the order of the costs along the last axis, equal where costs differ by no more than rounding."""
    order = np.argsort(costs, axis=-1, kind="stable")
    ascending = np.take_along_axis(costs, order, -1)
    apart = ~np.isclose(ascending[..., 1:], ascending[..., :-1], rtol=SAME, atol=0)
    groups = np.zeros(costs.shape, int)
    np.put_along_axis(groups, order[..., 1:], apart.cumsum(axis=-1), -1)
    return groups


def _tests(
    names: Sequence[str], ranks: np.ndarray, patients: Sequence[str], permutations: int, seed: int
) -> list[PermutationTest]:
    """The test of every two competitors of ranks, shape (case, competitor), the better ones first."""
    pairs = list(combinations(range(len(names)), 2))
    owner = np.unique(np.asarray(patients), return_inverse=True)[1]
    differences = np.stack([ranks[:, second] - ranks[:, first] for first, second in pairs], axis=1) / len(ranks)
    by_patient = np.stack([np.bincount(owner, column) for column in differences.T], axis=1)
    observed = by_patient.sum(axis=0)
    rng = np.random.default_rng(seed)
    as_large = np.zeros(len(pairs), int)
    for start in range(0, permutations, _AT_ONCE):
        signs = rng.integers(0, 2, (min(_AT_ONCE, permutations - start), len(by_patient))) * 2.0 - 1
        as_large += (np.abs(signs @ by_patient) >= np.abs(observed) - _ROUNDING).sum(axis=0)
    p_values = (as_large + 1) / (permutations + 1)
    return [
        PermutationTest(
            first=names[first],
            second=names[second],
            difference=max(float(difference), 0.0),
            p=float(p),
            p_holm=corrected,
        )
        for (first, second), difference, p, corrected in zip(
            pairs, observed, p_values, holm(p_values.tolist()), strict=True
        )
    ]
