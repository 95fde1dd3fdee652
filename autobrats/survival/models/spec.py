"""What a survival model is made of: its features, how they are prepared and chosen, the kind of model and its options."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from autobrats.survival.feature_table import Family

Imputation = Literal["median", "knn", "indicator"]
Scaling = Literal["standard", "robust", "rank"]
Selection = Literal["none", "forest", "univariate_cox", "mrmr", "elastic_net", "stability"]
ModelKind = Literal[
    "cox",
    "coxnet",
    "aft",
    "ridge",
    "elastic_net",
    "random_forest",
    "random_survival_forest",
    "gradient_boosting",
    "gradient_boosted_cox",
]
"""From the simplest to the most complex."""
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
SELECTIONS: tuple[Selection, ...] = get_args(Selection)
REGRESSORS = frozenset({"ridge", "elastic_net", "random_forest", "gradient_boosting"})
"""Fitted to the days of those who died, weighted for those who were censored."""
PREDICTS_TIME = REGRESSORS | {"aft"}

Share = Annotated[float, Field(gt=0, le=1)]

_FOREST = {"n_estimators": 100, "min_leaf": 1, "max_features": 1.0}
_BOOSTING = {
    "n_estimators": 100,
    "learning_rate": 0.1,
    "max_depth": 3,
    "min_leaf": 1,
    "subsample": 1.0,
    "max_features": 1.0,
}
DEFAULT_OPTIONS: dict[ModelKind, dict[str, Any]] = {
    "cox": {"alpha": 0.1},
    "coxnet": {"alpha": 0.05, "l1_ratio": 0.5},
    "aft": {"alpha": 1.0, "distribution": "log_normal"},
    "ridge": {"alpha": 1.0},
    "elastic_net": {"alpha": 0.05, "l1_ratio": 0.5},
    "random_forest": {**_FOREST, "max_depth": None},
    "random_survival_forest": {**_FOREST, "max_depth": None, "min_leaf": 10, "max_features": "sqrt"},
    "gradient_boosting": _BOOSTING,
    "gradient_boosted_cox": _BOOSTING,
}
"""The options that each kind takes, with what holds where none is given."""

_MODEL_NAMES: dict[ModelKind, str] = {
    "cox": "Cox regression",
    "coxnet": "Cox regression with elastic net",
    "aft": "accelerated failure time model",
    "ridge": "ridge regression",
    "elastic_net": "elastic net",
    "random_forest": "random forest",
    "random_survival_forest": "random survival forest",
    "gradient_boosting": "gradient boosting",
    "gradient_boosted_cox": "gradient-boosted Cox model",
}
_SELECTION_NAMES: dict[Selection, str] = {
    "none": "all",
    "forest": "importance in a forest",
    "univariate_cox": "univariate Cox score",
    "mrmr": "minimum redundancy and maximum relevance",
    "elastic_net": "order of entry into an elastic net",
    "stability": "stability selection",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelOptions(_Frozen):
    """Options of a model; each kind takes those of :data:`DEFAULT_OPTIONS`.

    Attributes:
        alpha: strength of the penalty on standardised coefficients, in the units of the library that fits: ``alpha / 2`` times
            the squared coefficients beside the log partial likelihood (cox) or the log likelihood (aft), ``alpha`` times beside
            the squared errors (ridge), and per patient for coxnet and elastic_net.
        l1_ratio: share of the absolute coefficients in the penalty.
        distribution: of the times, given the features.
        n_estimators: trees.
        min_leaf: least number of patients in a leaf.
        max_depth: of a tree; None for no limit.
        learning_rate: factor on each tree of a boosting.
        subsample: share of the patients that each tree of a boosting sees.
        max_features: features that a split looks at, as a share or their square root.
    """

    alpha: float | None = Field(default=None, gt=0)
    l1_ratio: Share | None = None
    distribution: Literal["log_normal", "log_logistic", "weibull"] | None = None
    n_estimators: int | None = Field(default=None, ge=1, le=2000)
    min_leaf: int | None = Field(default=None, ge=1)
    max_depth: int | None = Field(default=None, ge=1)
    learning_rate: Share | None = None
    subsample: Share | None = None
    max_features: Share | Literal["sqrt"] | None = None


class ClassifierOptions(_Frozen):
    """The classifier of short, mid and long survival.

    Attributes:
        kind: multinomial logistic regression, or a random forest.
        alpha: of the logistic regression: strength of the squared penalty (1 / C).
        n_estimators: trees of the forest.
        min_leaf: least number of patients in a leaf of the forest.
    """

    kind: Literal["logistic", "forest"] = "logistic"
    alpha: float = Field(default=1.0, gt=0)
    n_estimators: int = Field(default=100, ge=1, le=2000)
    min_leaf: int = Field(default=5, ge=1)


class ModelSpec(_Frozen):
    """A survival model before it has seen any patient.

    Attributes:
        columns: the features to use or to choose from, by name; None: those of ``families``. Without any, everybody gets the
            same prediction.
        families: whose features are chosen from.
        keep: columns that the selection never drops; they come on top of ``n_features``.
        imputation: of missing values: the training median, the mean of the 5 nearest patients, or the median beside a 0/1
            column that says where the value was missing.
        scaling: to mean 0 and deviation 1, by median and interquartile range, or to normal quantiles by rank.
        selection: how features are ranked; ``none`` uses them all.
        n_features: so many of the ranked ones are used, beside ``keep``.
        model: the kind of model.
        options: of the model.
        target: what a regressor is fitted to.
        class_output: where the class comes from: the predicted days, the calibrated probabilities, or a classifier.
        classifier: its options, where there is one.
    """

    columns: tuple[str, ...] | None = None
    families: tuple[Family, ...] = ()
    keep: tuple[str, ...] = ()
    imputation: Imputation = "median"
    scaling: Scaling = "standard"
    selection: Selection = "none"
    n_features: int = Field(default=1, ge=1)
    model: ModelKind = "cox"
    options: ModelOptions = ModelOptions()
    target: Literal["log_days", "days"] = "log_days"
    class_output: Literal["days", "probabilities", "classifier"] = "days"
    classifier: ClassifierOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, data: Any) -> Any:
        """Options that are not given are written out, so that a saved spec does not depend on later defaults."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        options = data.get("options", {})
        if isinstance(options, ModelOptions):
            options = options.model_dump(exclude_none=True)
        kind = data.get("model", "cox")
        if kind in DEFAULT_OPTIONS and isinstance(options, dict):
            takes = DEFAULT_OPTIONS[kind]
            given = {name: value for name, value in options.items() if value is not None}
            if strange := sorted((given.keys() & ModelOptions.model_fields.keys()) - takes.keys()):
                raise ValueError(f"the model '{kind}' takes no option '{strange[0]}'; it takes: {', '.join(takes)}")
            data["options"] = takes | given
        if data.get("class_output") == "classifier" and data.get("classifier") is None:
            data["classifier"] = ClassifierOptions()
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> ModelSpec:
        if (self.columns is None) == (not self.families):
            raise ValueError("give either columns or families")
        if self.target == "days" and self.model not in REGRESSORS:
            raise ValueError(
                f"the model '{self.model}' is not fitted to days; target is for: {', '.join(sorted(REGRESSORS))}"
            )
        if self.classifier is not None and self.class_output != "classifier":
            raise ValueError("options of a classifier need the class_output 'classifier'")
        return self

    @property
    def predicts_time(self) -> bool:
        """Whether the model predicts days of its own, not a risk alone."""
        return self.model in PREDICTS_TIME

    @property
    def complexity(self) -> tuple[float, int]:
        """For choosing the simplest of equals: the number of features, then the kind of model."""
        if self.selection != "none":
            features: float = self.n_features + len(self.keep)
        else:
            features = math.inf if self.columns is None else len({*self.columns, *self.keep})
        return features, MODEL_KINDS.index(self.model)

    def describe(self) -> str:
        """For people: ``Cox regression on clinical_age``."""
        name = _MODEL_NAMES[self.model]
        if self.target == "days":
            name += " of days"
        if self.columns is not None and not {*self.columns, *self.keep}:
            return f"{name} without features"
        if self.columns is None:
            source = f"{_listed([family.replace('_', ' ') for family in self.families])} features"
        else:
            source = _listed(list(self.columns)) if len(self.columns) <= 4 else f"{len(self.columns)} named features"
        if self.selection == "none":
            chosen = source if self.columns is not None else f"all {source}"
        else:
            chosen = f"the {self.n_features} best of {source} by {_SELECTION_NAMES[self.selection]}"
        beside = [column for column in self.keep if self.columns is None or column not in self.columns]
        return f"{name} on {_listed([*beside, chosen]) if beside else chosen}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
