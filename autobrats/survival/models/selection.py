"""Ranking features, best first, on the training patients alone."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.censoring import death_weights
from autobrats.survival.models.preparation import Preparation, usable_columns
from autobrats.survival.models.score_test import martingale_residuals, score_statistics
from autobrats.survival.models.spec import ModelSpec

TREES = 250
HALF_SAMPLES = 100
HALF_SAMPLE_STEPS = 30
PATH_L1_RATIO = 0.9
"""Nearly a lasso; the rest lets correlated features in together."""
SCREENED = 200
"""So many features, those with the largest score statistics, are ranked by the slower selections; the others come after."""
RANK_BASED = frozenset({"forest", "mrmr"})
"""Selections that see only the order of the values, for which every scaling is the same."""
BLIND_TO_KEPT = frozenset({"forest", "univariate_cox"})
"""Selections that rank each feature as if none was kept."""


@dataclass
class RankingCache:
    """Rankings that were made already, by what they were made from.

    Trials that differ in the number of features or in the model share a ranking. A cache may be filled for any number of
    cohorts: the key holds a hash of the patients' features and survival.
    """

    rankings: dict[tuple, tuple[str, ...]] = field(default_factory=dict)

    def ranking(self, spec: ModelSpec, cohort: Cohort, seed: int) -> tuple[str, ...]:
        """:func:`rank_features`, computed once."""
        kept = spec.keep
        spec = _as_ranked(spec, cohort)
        candidates = cohort.features.select(candidate_columns(spec, cohort))
        key = (
            spec.selection,
            spec.imputation,
            spec.scaling,
            spec.target if spec.selection == "forest" else None,
            seed if spec.selection in ("forest", "stability") else None,
            frozenset(spec.keep),
            candidates.names,
            _content_key(candidates.values, cohort.days, cohort.died),
        )
        if key not in self.rankings:
            self.rankings[key] = rank_features(spec, cohort, seed)
        return tuple(name for name in self.rankings[key] if name not in kept)


def candidate_columns(spec: ModelSpec, cohort: Cohort) -> tuple[str, ...]:
    """The columns that a spec may use, in the table's order: named ones, or those of its families, and those it keeps."""
    table = cohort.features
    if spec.columns is not None:
        return tuple(dict.fromkeys((*spec.keep, *spec.columns)))
    families = set(spec.families)
    named = set(spec.keep)
    in_table = [name for name, family in zip(table.names, table.families) if family in families or name in named]
    return (*in_table, *(name for name in spec.keep if name not in table.names))


def rank_features(spec: ModelSpec, cohort: Cohort, seed: int = 0) -> tuple[str, ...]:
    """The inputs that the selection of a spec may choose from, best first, without those that it keeps in any case.

    Columns without two different values are left out; ties stay in the order of the table.

    Args:
        spec: its selection must not be ``none``.
        cohort: the training patients.
        seed: of forests and half-samples.

    Raises:
        UserError: if a column that the spec names is not in the table.
    """
    table = cohort.features.select(candidate_columns(spec, cohort))
    table = table.select(usable_columns(table))
    preparation = Preparation.fit(table, spec.imputation, spec.scaling)
    inputs = preparation.transform(table)
    kept = np.array([name in spec.keep for name in preparation.inputs], dtype=bool)
    if kept.all():
        return ()
    scores = _screened_scores(inputs, kept, cohort, spec, seed)
    order = np.argsort(-scores, kind="stable")
    return tuple(preparation.inputs[place] for place in order if not kept[place])


def _as_ranked(spec: ModelSpec, cohort: Cohort) -> ModelSpec:
    """The spec without what makes no difference, or hardly any, to its ranking, so that specs share one."""
    changes: dict[str, Any] = {}
    if spec.selection in BLIND_TO_KEPT and (spec.columns is None or set(spec.columns) - set(spec.keep)):
        changes["keep"] = ()
    if spec.selection in RANK_BASED or spec.scaling == "robust":
        changes["scaling"] = "standard"
    if spec.imputation == "knn" or not np.isnan(cohort.features.values).any():
        changes["imputation"] = "median"
    return spec.model_copy(update=changes)


def _screened_scores(inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int) -> np.ndarray:
    """The scores of a selection, shape (input,).

    Of many inputs, the slower selections see the kept ones and those with the largest score statistics (sure independence
    screening: Fan and Lv, JRSS B 2008, doi:10.1111/j.1467-9868.2008.00674.x); the others follow in that order.
    """
    score = _SCORES[spec.selection]
    if spec.selection in BLIND_TO_KEPT or (~kept).sum() <= SCREENED:
        return score(inputs, kept, cohort, spec, seed)
    alone = univariate_score(inputs, kept, cohort, spec, seed)
    seen = np.sort(np.argsort(np.where(kept, np.inf, alone), kind="stable")[-(SCREENED + int(kept.sum())) :])
    scores = score(inputs[:, seen], kept[seen], cohort, spec, seed)
    result = scores.min() - 2 + _below_one(alone)
    result[seen] = scores
    return result


def forest_importance(inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int) -> np.ndarray:
    """Mean decrease of impurity in a forest of extremely randomised trees, shape (input,).

    The forest of scikit-learn's example "Feature importances with a forest of trees", as a regressor on those who died.
    Geurts et al., Machine Learning 2006, doi:10.1007/s10994-006-6226-1.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    died = cohort.died
    target = cohort.days[died] if spec.target == "days" else np.log(cohort.days[died])
    forest = ExtraTreesRegressor(TREES, max_features="sqrt", random_state=seed)
    weights = death_weights(cohort.days, died)[died]
    return forest.fit(inputs[died], target, sample_weight=weights).feature_importances_


def univariate_score(inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int) -> np.ndarray:
    """The size of each input's score statistic in a Cox model of its own, shape (input,)."""
    return np.abs(score_statistics(inputs, cohort.days, cohort.died))


def relevance_without_redundancy(
    inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int
) -> np.ndarray:
    """Minimum redundancy, maximum relevance: the order in which inputs are taken, as falling scores, shape (input,).

    Peng et al., IEEE TPAMI 2005 (doi:10.1109/TPAMI.2005.159), the difference form (equation 6) with rank correlations for the
    mutual information, so that few patients suffice: relevance is the absolute Spearman correlation with the martingale
    residuals of the model without features (Therneau et al., Biometrika 1990, doi:10.1093/biomet/77.1.147), redundancy the
    mean absolute Spearman correlation with the inputs already taken, of which those that are kept are the first.
    """
    ranks = _standard_ranks(inputs)
    residual = _standard_ranks(martingale_residuals(cohort.days, cohort.died)[:, None])
    relevance = np.abs(ranks.T @ residual)[:, 0]
    redundancy = np.abs(ranks.T @ ranks[:, kept]).sum(axis=1)
    taken, scores = int(kept.sum()), np.zeros(len(kept))
    free = ~kept
    while free.any():
        gain = np.where(free, relevance - redundancy / max(taken, 1), -np.inf)
        best = int(np.argmax(gain))
        scores[best] = len(kept) - taken
        free[best] = False
        redundancy += np.abs(ranks.T @ ranks[:, best])
        taken += 1
    return scores


def order_of_entry(inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int) -> np.ndarray:
    """How early each input enters the path of a Cox model with elastic net, shape (input,); kept inputs are not penalised.

    Simon et al., Journal of Statistical Software 2011, doi:10.18637/jss.v039.i05. Those that enter together, or not at all,
    are ordered by their score statistics.
    """
    entry = _entry_step(inputs, kept, cohort.days, cohort.died, steps=60, least=0.1)
    return -entry + 0.5 * _below_one(univariate_score(inputs, kept, cohort, spec, seed))


def selection_frequency(inputs: np.ndarray, kept: np.ndarray, cohort: Cohort, spec: ModelSpec, seed: int) -> np.ndarray:
    """Stability selection: the share of half-samples in which each input is among the first q of the path, shape (input,).

    Meinshausen and Buehlmann, JRSS B 2010 (doi:10.1111/j.1467-9868.2010.00740.x), with their q = sqrt(0.8 p), on the
    complementary halves of Shah and Samworth, JRSS B 2013 (doi:10.1111/j.1467-9868.2011.01034.x), which hold the same share
    of deaths. Those of the same share are ordered by their score statistics.
    """
    rng = np.random.default_rng(seed)
    first = max(1, round(float(np.sqrt(0.8 * (~kept).sum()))))
    frequency = np.zeros(len(kept))
    for _ in range(HALF_SAMPLES // 2):
        shuffled = np.concatenate(
            [rng.permutation(np.flatnonzero(cohort.died)), rng.permutation(np.flatnonzero(~cohort.died))]
        )
        for half in (shuffled[::2], shuffled[1::2]):
            days, died = cohort.days[half], cohort.died[half]
            entry = _entry_step(inputs[half], kept, days, died, steps=HALF_SAMPLE_STEPS, least=0.2)
            order = entry - 0.5 * _below_one(np.abs(score_statistics(inputs[half], days, died)))
            order[kept] = np.inf
            early = np.argsort(order, kind="stable")[:first]
            frequency[early[entry[early] < HALF_SAMPLE_STEPS]] += 1
    scores = univariate_score(inputs, kept, cohort, spec, seed)
    return frequency + 0.5 * _below_one(scores)


def _entry_step(
    inputs: np.ndarray, kept: np.ndarray, days: np.ndarray, died: np.ndarray, steps: int, least: float
) -> np.ndarray:
    """The step of the penalty's path at which each input gets a coefficient, shape (input,); ``steps`` if it never does."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    path = CoxnetSurvivalAnalysis(
        n_alphas=steps, alpha_min_ratio=least, l1_ratio=PATH_L1_RATIO, penalty_factor=(~kept).astype(float)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        entered = path.fit(inputs, Surv.from_arrays(died, days)).coef_ != 0
    return np.where(entered.any(axis=1), entered.argmax(axis=1), steps).astype(float)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Columns of ranks with mean 0 and length 1, so that products are Spearman correlations; zeros for a constant column."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def _below_one(scores: np.ndarray) -> np.ndarray:
    return scores / (scores.max(initial=0) + 1)


def _content_key(*arrays: np.ndarray) -> str:
    content = hashlib.blake2b(digest_size=16)
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


_Score = Callable[[np.ndarray, np.ndarray, Cohort, ModelSpec, int], np.ndarray]
_SCORES: dict[str, _Score] = {
    "forest": forest_importance,
    "univariate_cox": univariate_score,
    "mrmr": relevance_without_redundancy,
    "elastic_net": order_of_entry,
    "stability": selection_frequency,
}
