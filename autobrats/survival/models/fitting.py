"""Fitting a specified model to a cohort, and what the fitted model says of other patients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobrats.errors import UserError
from autobrats.evaluation.survival.portal import CLASSES, survival_classes
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.aft import AcceleratedFailureTime
from autobrats.survival.models.censoring import class_weights, death_weights
from autobrats.survival.models.cox import CoxRegression
from autobrats.survival.models.preparation import MISSING_SUFFIX, Preparation, input_names, usable_columns
from autobrats.survival.models.selection import RankingCache, candidate_columns
from autobrats.survival.models.spec import REGRESSORS, ClassifierOptions, ModelSpec

LEAST_DEATHS = 2
MOST_DOUBLINGS = 10


@dataclass(frozen=True)
class FittedModel:
    """A model that has learnt from a cohort.

    Attributes:
        spec: what it is made of.
        preparation: from a table of features to the inputs.
        estimator: what was fitted; None where no feature was usable, and everyone gets the same prediction.
        classifier: of short, mid and long survival, where the spec has one.
        typical_log_days: the weighted mean of those who died; what a model without features predicts.
        log_days_range: of the training patients; predictions stay inside.
    """

    spec: ModelSpec
    preparation: Preparation
    estimator: Any
    classifier: Any
    typical_log_days: float
    log_days_range: tuple[float, float]

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the table that the model reads."""
        return self.preparation.columns

    def risk(self, table: FeatureTable) -> np.ndarray:
        """Shape (patient,): the higher, the sooner a patient dies; in the model's own scale.

        Raises:
            UserError: if a column is missing from the table.
        """
        inputs = self.preparation.transform(table)
        if self.spec.predicts_time:
            return -self._unlimited_log_days(inputs)
        return (
            np.zeros(len(inputs)) if self.estimator is None else np.asarray(self.estimator.predict(inputs), dtype=float)
        )

    def log_days(self, table: FeatureTable) -> np.ndarray | None:
        """Shape (patient,): the natural logarithm of the predicted days; None if the model predicts a risk only.

        Raises:
            UserError: if a column is missing from the table.
        """
        if not self.spec.predicts_time:
            return None
        return np.clip(self._unlimited_log_days(self.preparation.transform(table)), *self.log_days_range)

    def class_scores(self, table: FeatureTable) -> np.ndarray | None:
        """Shape (patient, 3): the classifier's probabilities of short, mid and long survival; None without a classifier.

        Raises:
            UserError: if a column is missing from the table.
        """
        if self.classifier is None:
            return None
        inputs = self.preparation.transform(table)
        scores = np.zeros((len(inputs), len(CLASSES)))
        scores[:, self.classifier.classes_] = self.classifier.predict_proba(inputs)
        return scores

    def _unlimited_log_days(self, inputs: np.ndarray) -> np.ndarray:
        if self.estimator is None:
            return np.full(len(inputs), self.typical_log_days)
        predicted = np.asarray(self.estimator.predict(inputs), dtype=float)
        return np.log(np.maximum(predicted, 1.0)) if self.spec.target == "days" else predicted


def fit_model(spec: ModelSpec, cohort: Cohort, *, seed: int = 0, rankings: RankingCache | None = None) -> FittedModel:
    """Fit a model; scaling, imputation, selection and the weights for censoring are all learnt from this cohort.

    Args:
        spec: what to fit.
        cohort: the training patients; columns without two different values are left out.
        seed: of everything random; the same seed gives the same model.
        rankings: of features, shared between fits.

    Raises:
        UserError: if a column that the spec names is missing, there is no feature of its families, or fewer than two patients
            died.
    """
    if (deaths := int(cohort.died.sum())) < LEAST_DEATHS:
        raise UserError(
            f"A survival model needs at least {LEAST_DEATHS} patients who died; of these {len(cohort)}, {deaths} did."
        )
    inputs = _chosen_inputs(spec, cohort, seed, rankings)
    read = set(inputs) | {name.removesuffix(MISSING_SUFFIX) for name in inputs}
    columns = tuple(name for name in cohort.features.names if name in read)
    preparation = Preparation.fit(cohort.features.select(columns), spec.imputation, spec.scaling, inputs)
    values = preparation.transform(cohort.features)
    log_days = np.log(cohort.days)
    return FittedModel(
        spec=spec,
        preparation=preparation,
        estimator=_fit_estimator(spec, values, cohort, seed) if inputs else None,
        classifier=None if spec.classifier is None else _fit_classifier(spec.classifier, values, cohort, seed),
        typical_log_days=float(np.average(log_days, weights=death_weights(cohort.days, cohort.died))),
        log_days_range=(float(log_days.min()), float(log_days.max())),
    )


def _chosen_inputs(spec: ModelSpec, cohort: Cohort, seed: int, rankings: RankingCache | None) -> tuple[str, ...]:
    """The inputs of the model: kept ones, then the best of the ranking, or all."""
    candidates = candidate_columns(spec, cohort)
    if spec.columns is not None and not candidates:
        return ()
    if not candidates:
        raise UserError(f"The table of features has none of these families: {', '.join(spec.families)}.")
    table = cohort.features.select(candidates)
    usable = usable_columns(table)
    if spec.selection == "none":
        return input_names(table.select(usable), spec.imputation)
    kept = tuple(name for name in spec.keep if name in usable)
    ranking = (RankingCache() if rankings is None else rankings).ranking(spec, cohort, seed)
    return (*kept, *ranking[: spec.n_features])


def _fit_estimator(spec: ModelSpec, inputs: np.ndarray, cohort: Cohort, seed: int) -> Any:
    if spec.model in REGRESSORS:
        died = cohort.died
        target = cohort.days[died] if spec.target == "days" else np.log(cohort.days[died])
        weights = death_weights(cohort.days, died)[died]
        with _quiet():
            return _regressor(spec, seed).fit(inputs[died], target, sample_weight=weights)
    given = spec.options.model_dump(exclude_none=True)
    if spec.model == "cox":
        return CoxRegression.fit(inputs, cohort.days, cohort.died, **given)
    if spec.model == "aft":
        return AcceleratedFailureTime.fit(inputs, cohort.days, cohort.died, **given)
    from sksurv.util import Surv

    outcome = Surv.from_arrays(cohort.died, cohort.days)
    with _quiet():
        if spec.model == "coxnet":
            return _fit_coxnet(spec, inputs, outcome)
        return _risk_model(spec, seed).fit(inputs, outcome)


def _fit_coxnet(spec: ModelSpec, inputs: np.ndarray, outcome: np.ndarray) -> Any:
    """With the penalty of the spec, doubled while it is too weak for the fit to end."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    alpha = spec.options.alpha
    assert alpha is not None
    for _ in range(MOST_DOUBLINGS):
        try:
            return CoxnetSurvivalAnalysis(alphas=[alpha], l1_ratio=spec.options.l1_ratio).fit(inputs, outcome)
        except ArithmeticError:
            alpha *= 2
    return CoxnetSurvivalAnalysis(alphas=[alpha], l1_ratio=spec.options.l1_ratio).fit(inputs, outcome)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings that a fit has not converged, or a penalty leaves nothing: the score says what it costs."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="all coefficients are zero")
        yield


def _regressor(spec: ModelSpec, seed: int) -> Any:
    options = spec.options
    if spec.model == "ridge":
        from sklearn.linear_model import Ridge

        return Ridge(alpha=options.alpha)
    if spec.model == "elastic_net":
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.linear_model import ElasticNet
        from sklearn.preprocessing import StandardScaler

        # The penalty on absolute coefficients depends on the target's unit.
        net = ElasticNet(alpha=options.alpha, l1_ratio=options.l1_ratio, max_iter=10_000)
        return TransformedTargetRegressor(net, transformer=StandardScaler())
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

    if spec.model == "random_forest":
        return RandomForestRegressor(**_forest_options(spec), random_state=seed)
    return GradientBoostingRegressor(**_boosting_options(spec), random_state=seed)


def _risk_model(spec: ModelSpec, seed: int) -> Any:
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest

    if spec.model == "random_survival_forest":
        return RandomSurvivalForest(**_forest_options(spec), low_memory=True, random_state=seed)
    return GradientBoostingSurvivalAnalysis(**_boosting_options(spec), random_state=seed)


def _forest_options(spec: ModelSpec) -> dict[str, Any]:
    options = spec.options
    return {
        "n_estimators": options.n_estimators,
        "min_samples_leaf": options.min_leaf,
        "max_depth": options.max_depth,
        "max_features": options.max_features,
    }


def _boosting_options(spec: ModelSpec) -> dict[str, Any]:
    options = spec.options
    return {**_forest_options(spec), "learning_rate": options.learning_rate, "subsample": options.subsample}


def _fit_classifier(options: ClassifierOptions, inputs: np.ndarray, cohort: Cohort, seed: int) -> Any:
    """A classifier fitted to the patients whose class is certain: those who died, and those seen alive in the last class."""
    weights = class_weights(cohort.days, cohort.died)
    certain = weights > 0
    classes = survival_classes(cohort.days[certain])
    if not inputs.shape[1] or len(np.unique(classes)) == 1:
        from sklearn.dummy import DummyClassifier

        return DummyClassifier().fit(inputs[certain], classes, sample_weight=weights[certain])
    if options.kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        model: Any = LogisticRegression(C=1 / options.alpha, max_iter=2000)
    else:
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(options.n_estimators, min_samples_leaf=options.min_leaf, random_state=seed)
    with _quiet():
        return model.fit(inputs[certain], classes, sample_weight=weights[certain])
