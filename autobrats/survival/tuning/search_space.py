"""What a trial may be: which features, how they are prepared and chosen, which model with which options."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import optuna

from autobrats.survival.feature_table import FAMILIES, Family, FeatureTable
from autobrats.survival.models.spec import (
    MODEL_KINDS,
    REGRESSORS,
    SELECTIONS,
    ClassifierOptions,
    ModelKind,
    ModelOptions,
    ModelSpec,
)
from autobrats.survival.tuning.objectives import Objective

RANKINGS = tuple(selection for selection in SELECTIONS if selection != "none")
_MOST_FEATURES = 48
_TREES = 100
_SOURCES: dict[str, tuple[Family, ...]] = {
    "clinical": ("clinical",),
    "size": ("size",),
    "clinical and size": ("clinical", "size"),
    "clinical and shape": ("clinical", "shape"),
    "clinical, size and shape": ("clinical", "size", "shape"),
    "clinical and intensities": ("clinical", "first_order", "texture"),
    "radiomics": ("shape", "first_order", "texture"),
    "everything": FAMILIES,
}


@dataclass(frozen=True)
class SearchSpace:
    """The choices that a table of features leaves.

    Attributes:
        sources: families by a name for them; each holds another set of columns.
        sizes: so many columns each source has.
        keep: columns that selection never drops, by a name for them; ``nothing`` is always among them.
        tunes_class: whether the way to the class is searched too.
    """

    sources: dict[str, tuple[Family, ...]]
    sizes: dict[str, int]
    keep: dict[str, tuple[str, ...]]
    tunes_class: bool

    @classmethod
    def of(cls, table: FeatureTable, keep: dict[str, tuple[str, ...]], objective: Objective) -> SearchSpace:
        """Of what is in ``table``; a source that holds the same columns as one before it is left out.

        Args:
            table: of the patients to learn from.
            keep: columns that a trial may hold on to, by name: those of the baselines.
            objective: what is tuned for.
        """
        families = table.families
        sources: dict[str, tuple[Family, ...]] = {}
        sizes: dict[str, int] = {}
        seen = set()
        for name, wanted in _SOURCES.items():
            columns = frozenset(column for column, family in zip(table.names, families) if family in wanted)
            if columns and columns not in seen:
                seen.add(columns)
                sources[name], sizes[name] = wanted, len(columns)
        return cls(sources, sizes, {"nothing": (), **keep}, objective == "accuracy")

    def suggest(self, trial: optuna.Trial) -> ModelSpec:
        """What the sampler of ``trial`` wants to see tried."""
        source = trial.suggest_categorical("source", list(self.sources))
        kind = cast(ModelKind, trial.suggest_categorical("model", MODEL_KINDS))
        most = min(_MOST_FEATURES, self.sizes[source])
        values: dict[str, Any] = {
            "families": self.sources[source],
            "keep": self.keep[trial.suggest_categorical("keep", list(self.keep))],
            "imputation": trial.suggest_categorical("imputation", ["median", "knn", "indicator"]),
            "scaling": trial.suggest_categorical("scaling", ["standard", "robust", "rank"]),
            "selection": trial.suggest_categorical("selection", RANKINGS),
            # The range must be the same in every trial of a study; a small source uses all that it has.
            "n_features": min(most, trial.suggest_int("n_features", 1, _MOST_FEATURES, log=True)),
            "model": kind,
            "options": _suggest_options(trial, kind),
        }
        if kind in REGRESSORS:
            values["target"] = trial.suggest_categorical("target", ["log_days", "days"])
        if self.tunes_class:
            values["class_output"] = trial.suggest_categorical("class_output", ["days", "probabilities", "classifier"])
            if values["class_output"] == "classifier":
                values["classifier"] = _suggest_classifier(trial)
        return ModelSpec(**values)


def _suggest_options(trial: optuna.Trial, kind: ModelKind) -> ModelOptions:
    def strength(low: float, high: float) -> float:
        return trial.suggest_float(f"{kind}_alpha", low, high, log=True)

    if kind in ("cox", "aft", "ridge"):
        options: dict[str, Any] = {"alpha": strength(0.1, 1000.0)}
        if kind == "aft":
            options["distribution"] = trial.suggest_categorical(
                "distribution", ["log_normal", "log_logistic", "weibull"]
            )
    elif kind in ("coxnet", "elastic_net"):
        options = {"alpha": strength(0.001, 0.5), "l1_ratio": trial.suggest_float(f"{kind}_l1_ratio", 0.1, 1.0)}
    elif kind in ("random_forest", "random_survival_forest"):
        options = {
            "n_estimators": _TREES,
            "min_leaf": trial.suggest_int("forest_min_leaf", 3, 40, log=True),
            "max_features": trial.suggest_categorical("forest_max_features", ["sqrt", 0.33, 1.0]),
        }
    else:
        options = {
            "n_estimators": trial.suggest_int("boosting_trees", 20, 200, log=True),
            "learning_rate": trial.suggest_float("boosting_rate", 0.02, 0.2, log=True),
            "max_depth": trial.suggest_int("boosting_depth", 1, 3),
            "min_leaf": trial.suggest_int("boosting_min_leaf", 3, 30, log=True),
            "subsample": trial.suggest_float("boosting_subsample", 0.5, 1.0),
        }
    return ModelOptions(**options)


def _suggest_classifier(trial: optuna.Trial) -> ClassifierOptions:
    if trial.suggest_categorical("classifier", ["logistic", "forest"]) == "logistic":
        return ClassifierOptions(kind="logistic", alpha=trial.suggest_float("logistic_alpha", 0.01, 100.0, log=True))
    return ClassifierOptions(kind="forest", min_leaf=trial.suggest_int("classifier_min_leaf", 3, 40, log=True))


def sampler(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    """Of a search: at random for the first ``startup`` trials, then by the tree-structured Parzen estimator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=True)


def keep_of(baselines: Sequence[ModelSpec]) -> dict[str, tuple[str, ...]]:
    """The columns of the baselines, by a name for them."""
    return {", ".join(spec.columns): spec.columns for spec in baselines if spec.columns}
