"""What a specification accepts, and what it says of itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from autobrats.survival.models.spec import DEFAULT_OPTIONS, MODEL_KINDS, ModelOptions, ModelSpec


def test_options_that_are_not_given_are_written_out() -> None:
    spec = ModelSpec(families=("texture",), model="gradient_boosting", options={"learning_rate": 0.05})
    assert spec.options.learning_rate == 0.05
    assert spec.options.n_estimators == DEFAULT_OPTIONS["gradient_boosting"]["n_estimators"]
    assert spec.options.alpha is None
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
    assert hash(ModelSpec.model_validate_json(spec.model_dump_json())) == hash(spec)
    assert ModelSpec(columns=("a",), model="ridge", options=ModelOptions(alpha=2)) == ModelSpec(
        columns=("a",), model="ridge", options={"alpha": 2}
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"columns": ("a",), "options": {"n_estimators": 5}},
            "the model 'cox' takes no option 'n_estimators'; it takes: alpha",
        ),
        ({"columns": ("a",), "options": {"alpha": 0}}, "greater than 0"),
        ({"columns": ("a",), "options": {"depth": 1}}, "Extra inputs"),
        ({"columns": ("a",), "target": "days"}, "'cox' is not fitted to days"),
        ({"columns": ("a",), "families": ("size",)}, "either columns or families"),
        ({}, "either columns or families"),
        ({"columns": ("a",), "n_features": 0}, "greater than or equal to 1"),
        ({"columns": ("a",), "classifier": {}}, "class_output"),
        ({"columns": ("a",), "model": "lasso"}, "'cox'"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelSpec(**given)


def test_described_for_people() -> None:
    assert ModelSpec(columns=("clinical_age",)).describe() == "Cox regression on clinical_age"
    recipe = ModelSpec(
        families=("shape", "first_order", "texture"),
        selection="forest",
        n_features=32,
        model="random_forest",
        target="days",
    )
    assert recipe.describe() == (
        "random forest of days on the 32 best of shape, first order and texture features by importance in a forest"
    )
    kept = ModelSpec(families=("size",), keep=("clinical_age",), selection="mrmr", n_features=2)
    assert kept.describe().startswith(
        "Cox regression on clinical_age and the 2 best of size features by minimum redundancy"
    )


def test_fewer_features_are_simpler_then_plainer_models() -> None:
    age = ModelSpec(columns=("clinical_age",))
    two = ModelSpec(columns=("clinical_age", "clinical_grade"))
    chosen = ModelSpec(families=("size",), keep=("clinical_age",), selection="mrmr", n_features=2)
    everything = ModelSpec(families=("size",))
    assert age.complexity < two.complexity < chosen.complexity < everything.complexity
    kinds = [ModelSpec(columns=("clinical_age",), model=kind).complexity for kind in MODEL_KINDS]
    assert kinds == sorted(kinds)
    assert kinds[-1] < two.complexity
