"""Two sets of predictions of the same cases compared: mean differences with intervals, and Wilcoxon tests with Holm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import wilcoxon

from autobrats.evaluation.directions import direction_of
from autobrats.evaluation.metrics_file import CaseMetrics, Metrics
from autobrats.evaluation.summary import bootstrap_interval

COMPARED_METRICS = ("dice", "hd95")
"""Those of the BraTS ranking."""
SIGNIFICANT = 0.05
SAME = 1e-6
"""Values that differ by no more than this share are the same: distances are computed in single precision."""


@dataclass(frozen=True)
class PairedDifference:
    """A metric of one region: the first set of predictions minus the second, case by case.

    Attributes:
        first, second: the names of the sets.
        cases: that both have a value for.
        mean: of the differences; None without cases.
        low, high: its 95 % interval, resampled by patient; None for a single patient.
        p: of the Wilcoxon signed-rank test, two-sided; None without cases.
        p_holm: corrected for all comparisons that were made together.
    """

    first: str
    second: str
    region: str
    metric: str
    cases: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None

    @property
    def better(self) -> str | None:
        """The set that is better beyond chance (``p_holm`` below 0.05, and 0 outside the interval), else None.

        The test goes by ranks and the interval by the mean: many tiny gains and a few large losses satisfy only one.
        """
        if self.mean is None or self.p_holm is None or self.p_holm >= SIGNIFICANT:
            return None
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return self.first if self.mean * direction_of(self.metric) > 0 else self.second


def compare(
    first: Metrics, others: Sequence[Metrics], metrics: Sequence[str] = COMPARED_METRICS, *, seed: int = 0
) -> list[PairedDifference]:
    """Compare one set of predictions with each of the others, in every region that both have and every metric.

    Only cases that both sets have a value for are compared. The p values of the whole list are corrected together
    (Holm 1979).

    Args:
        metrics: names from :data:`autobrats.evaluation.directions.COMPARABLE`.
        seed: of the intervals.

    Raises:
        UserError: for a metric that is better neither when higher nor when lower.
    """
    for metric in metrics:
        direction_of(metric)
    differences = [
        _difference(first, other, region, metric, seed)
        for other in others
        for metric in metrics
        for region in first.summary
        if region in other.summary
    ]
    tested = [index for index, difference in enumerate(differences) if difference.p is not None]
    corrected = holm([differences[index].p or 0.0 for index in tested])
    for index, p in zip(tested, corrected, strict=True):
        differences[index] = replace(differences[index], p_holm=p)
    return differences


def signed_rank_p(differences: np.ndarray, patients: Sequence[str]) -> float:
    """The two-sided p value of the Wilcoxon signed-rank test of paired differences, shape (cases,).

    The cases of a patient are averaged first, because the test takes its values to be independent. Differences of zero
    are ranked, and their ranks left out (Pratt 1959, doi:10.1080/01621459.1959.10501526): two sets that agree on most
    patients are not told apart by the few others. Without any difference p is 1.
    """
    owner = np.unique(np.asarray(patients), return_inverse=True)[1]
    means = np.bincount(owner, differences) / np.bincount(owner)
    if not means.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few values, whose p is large anyway
        return float(wilcoxon(means, zero_method="pratt").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for testing all of them (Holm 1979, Scand. J. Statist. 6:65), in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values, float)[order] * factors))
    return corrected.tolist()


def _difference(first: Metrics, other: Metrics, region: str, metric: str, seed: int) -> PairedDifference:
    values, patients = [], []
    for name, case in first.cases.items():
        one, two = _value(case, region, metric), _value(other.cases.get(name), region, metric)
        if one is not None and two is not None:
            values.append(0.0 if math.isclose(one, two, rel_tol=SAME) else one - two)
            patients.append(case.patient)
    names = (first.configuration, other.configuration, region, metric)
    if not values:
        return PairedDifference(*names, 0, None, None, None, None)
    differences = np.array(values)
    low, high = bootstrap_interval(differences, patients, seed=seed)
    return PairedDifference(
        *names, len(values), float(differences.mean()), low, high, signed_rank_p(differences, patients)
    )


def _value(case: CaseMetrics | None, region: str, metric: str) -> float | None:
    scores: Mapping[str, float | None] = case.regions.get(region, {}) if case else {}
    return scores.get(metric)
