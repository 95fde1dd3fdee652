"""Every kind of model learns the law of a cohort from its training patients, and from nobody else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import spearmanr
from sksurv.linear_model import CoxPHSurvivalAnalysis, IPCRidge
from sksurv.util import Surv

from autobrats.errors import UserError
from autobrats.evaluation.survival.concordance import harrell_c
from autobrats.evaluation.survival.portal import survival_classes
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.censoring import class_weights, death_weights
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.selection import RankingCache
from autobrats.survival.models.spec import (
    DEFAULT_OPTIONS,
    MODEL_KINDS,
    PREDICTS_TIME,
    REGRESSORS,
    SELECTIONS,
    ModelKind,
    ModelSpec,
)

AGE = ModelSpec(columns=("clinical_age",))
QUICK = {"n_estimators": 20}


def of_kind(kind: ModelKind, **more: object) -> ModelSpec:
    trees = kind.startswith(("random", "gradient"))
    given = {"families": ("clinical", "texture"), "model": kind, "options": QUICK if trees else {}}
    return ModelSpec(**given | more)


@pytest.mark.parametrize("censored", [True, False])
@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_predicts_patients_it_has_not_seen(kind: ModelKind, censored: bool, make_cohort: Callable) -> None:
    cohort, new = make_cohort(censored=censored, missing=0.05), make_cohort(censored=False, seed=1)
    fitted = fit_model(of_kind(kind), cohort)
    assert fitted.features == cohort.features.names
    risk = fitted.risk(new.features)
    # The law itself reaches 0.83.
    assert harrell_c(new.days, new.died, risk) > 0.7
    log_days = fitted.log_days(new.features)
    assert (log_days is not None) == (kind in PREDICTS_TIME)
    if log_days is not None:
        assert spearmanr(log_days, -risk).statistic > 0.999
        assert np.abs(np.mean(log_days - np.log(new.days))) < 0.2
        assert np.exp(log_days).max() <= cohort.days.max() * 1.0001


def test_cox_of_age_is_that_of_scikit_survival(make_cohort: Callable) -> None:
    cohort = make_cohort()
    age = cohort.features.column("clinical_age")[:, None]
    scaled = (age - age.mean()) / age.std()
    reference = CoxPHSurvivalAnalysis(alpha=0.1, ties="efron", tol=1e-13).fit(
        scaled, Surv.from_arrays(cohort.died, cohort.days)
    )
    np.testing.assert_allclose(fit_model(AGE, cohort).risk(cohort.features), reference.predict(scaled), atol=1e-7)


def test_ridge_under_censoring_is_the_weighted_one_of_scikit_survival(make_cohort: Callable) -> None:
    cohort = make_cohort()
    values = cohort.features.values
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    reference = IPCRidge(alpha=1.0).fit(scaled, Surv.from_arrays(cohort.died, cohort.days)).predict(scaled)
    predicted = fit_model(of_kind("ridge"), cohort).log_days(cohort.features)
    longest = np.log(cohort.days.max())
    np.testing.assert_allclose(predicted, np.minimum(np.log(reference), longest), atol=1e-6)


def test_weights_for_censoring_by_hand() -> None:
    days, died = np.array([1, 2, 2, 3, 4, 500.0]), np.array([True, True, False, False, True, True])
    # On day 2 one of five is gone before the censoring of one of four; on day 3 one of three is censored.
    np.testing.assert_allclose(death_weights(days, died), [1, 1, 0, 0, 1 / (3 / 4 * 2 / 3), 2])
    assert death_weights(days, died).sum() == pytest.approx(6)
    np.testing.assert_array_equal(death_weights(days, np.ones(6, bool)), np.ones(6))
    # Who is seen alive after day 450 is long for certain.
    seen_late = np.array([True, True, False, False, True, False])
    np.testing.assert_allclose(class_weights(days, seen_late), [1, 1, 0, 0, 2, 2])
    many = np.arange(1.0, 101)
    assert death_weights(many, many > 99).max() == 20


@pytest.mark.parametrize("selection", SELECTIONS)
def test_test_patients_change_nothing_that_is_learnt(selection: str, make_cohort: Callable) -> None:
    everyone = make_cohort(patients=120, missing=0.1)
    training, test = np.arange(80), np.arange(80, 120)
    values = everyone.features.values.copy()
    values[test] = np.random.default_rng(1).normal(1e6, 1e6, size=values[test].shape)
    changed = Cohort(
        FeatureTable(everyone.features.patients, everyone.features.names, values),
        np.where(np.arange(120) < 80, everyone.days, 1.0),
        np.where(np.arange(120) < 80, everyone.died, True),
    )
    given = {
        "scaling": "rank",
        "imputation": "knn",
        "class_output": "classifier",
        "n_features": 2,
        "selection": selection,
    }
    spec = of_kind("ridge", **given)
    shared = RankingCache()
    fit_model(spec, everyone, rankings=shared)
    fit_model(spec, changed, rankings=shared)
    one, other = (fit_model(spec, cohort.rows(training), rankings=shared) for cohort in (everyone, changed))
    assert one.preparation.inputs == other.preparation.inputs
    new = make_cohort(seed=5).features
    np.testing.assert_array_equal(one.risk(new), other.risk(new))
    np.testing.assert_array_equal(one.class_scores(new), other.class_scores(new))
    # And one test patient's prediction does not depend on the others.
    together = one.risk(new)
    np.testing.assert_allclose(one.risk(new.rows([3, 7])), together[[3, 7]], rtol=1e-12)


TREES = [kind for kind in MODEL_KINDS if "n_estimators" in DEFAULT_OPTIONS[kind]]


@pytest.mark.parametrize("kind", TREES)
def test_the_seed_decides(kind: ModelKind, make_cohort: Callable) -> None:
    cohort = make_cohort(patients=80)
    spec = of_kind(
        kind, options=QUICK | {"max_features": 0.4}, class_output="classifier", classifier={"kind": "forest"}
    )
    one, again, other = (fit_model(spec, cohort, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.risk(cohort.features), again.risk(cohort.features))
    np.testing.assert_array_equal(one.class_scores(cohort.features), again.class_scores(cohort.features))
    assert np.abs(one.risk(cohort.features) - other.risk(cohort.features)).max() > 0


def test_selection_comes_beside_what_is_kept(make_cohort: Callable) -> None:
    cohort = make_cohort(textures=8)
    kept = ModelSpec(families=("texture",), keep=("clinical_male",), selection="univariate_cox", n_features=1)
    assert fit_model(kept, cohort).features == ("clinical_male", "WT_t1c_glcm_F0")
    assert len(fit_model(kept.model_copy(update={"n_features": 99}), cohort).features) == 9


def with_column(cohort: Cohort, name: str, values: np.ndarray | float) -> Cohort:
    table = cohort.features
    column = np.broadcast_to(values, len(cohort))[:, None].astype(float)
    added = FeatureTable(table.patients, (*table.names, name), np.hstack([table.values, column]))
    return Cohort(added, cohort.days, cohort.died)


@pytest.mark.parametrize("kind", MODEL_KINDS)
@pytest.mark.parametrize("value", [3.0, np.nan], ids=["constant", "empty"])
def test_without_a_usable_feature_everyone_is_alike(kind: ModelKind, value: float, make_cohort: Callable) -> None:
    cohort = with_column(make_cohort(patients=40), "size_wt", value)
    fitted = fit_model(ModelSpec(columns=("size_wt",), model=kind, class_output="classifier"), cohort)
    assert fitted.features == ()
    new = FeatureTable(("a", "b"), ("size_wt",), np.array([[1.0], [np.nan]]))
    assert np.ptp(fitted.risk(new)) == 0
    if kind in REGRESSORS:
        weights = death_weights(cohort.days, cohort.died)
        np.testing.assert_allclose(fitted.log_days(new), np.average(np.log(cohort.days), weights=weights))
    scores = fitted.class_scores(new)
    weights = class_weights(cohort.days, cohort.died)
    share = np.bincount(survival_classes(cohort.days), weights, minlength=3) / weights.sum()
    np.testing.assert_allclose(scores, [share, share])


@pytest.mark.parametrize("kind", ["logistic", "forest"])
def test_class_scores_are_those_of_the_three_classes(kind: str, make_cohort: Callable) -> None:
    cohort, new = make_cohort(patients=300), make_cohort(patients=300, censored=False, seed=1)
    spec = of_kind("cox", class_output="classifier", classifier={"kind": kind})
    scores = fit_model(spec, cohort).class_scores(new.features)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    # The law itself reaches 0.73; a third is chance.
    assert (scores.argmax(axis=1) == survival_classes(new.days)).mean() > 0.6
    without_mid = cohort.rows(np.flatnonzero(survival_classes(cohort.days) != 1))
    assert (fit_model(spec, without_mid).class_scores(new.features)[:, 1] == 0).all()
    assert fit_model(AGE, cohort).class_scores(new.features) is None


def test_days_as_the_target(make_cohort: Callable) -> None:
    cohort = make_cohort(patients=80, censored=False)
    fitted = fit_model(of_kind("random_forest", target="days"), cohort)
    log_days = fitted.log_days(cohort.features)
    assert np.corrcoef(np.exp(log_days), cohort.days)[0, 1] > 0.9
    linear = fit_model(of_kind("ridge", target="days"), cohort).log_days(cohort.features)
    assert np.isfinite(linear).all()
    assert np.exp(linear).min() == pytest.approx(cohort.days.min())  # a straight line would go below 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ModelSpec(columns=("clinical_kps",)), "no column clinical_kps"),
        (ModelSpec(families=("size",)), "none of these families: size"),
        (ModelSpec(families=("texture",), keep=("clinical_kps",), selection="forest"), "no column clinical_kps"),
    ],
)
def test_features_that_are_not_there_are_named(spec: ModelSpec, says: str, make_cohort: Callable) -> None:
    with pytest.raises(UserError, match=says):
        fit_model(spec, make_cohort(patients=30))


def test_somebody_must_have_died(make_cohort: Callable) -> None:
    cohort = make_cohort(patients=30)
    with pytest.raises(UserError, match="at least 2 patients who died; of these 30, 0 did"):
        fit_model(AGE, Cohort(cohort.features, cohort.days, np.zeros(30, bool)))
