"""Published models, as their papers tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autobrats.errors import UserError
from autobrats.planning.recipes import recipe_names
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.recipes import survival_recipe, survival_recipe_names


def test_anand2020(make_cohort: Callable) -> None:
    recipe = survival_recipe("anand2020")
    assert recipe.spec.describe() == (
        "random forest of days on the 32 best of shape, first order and texture features by importance in a forest"
    )
    cohort = make_cohort(patients=40, textures=40)
    fitted = fit_model(recipe.spec, cohort)
    assert len(fitted.features) == 32
    assert not [name for name in fitted.features if name.startswith("clinical_")]


def test_recipes_of_segmentation_and_survival_do_not_mix() -> None:
    assert "anand2020" in survival_recipe_names()
    assert "zhao2019" in recipe_names() and "zhao2019" not in survival_recipe_names()
    with pytest.raises(UserError, match="no survival recipe 'zhao2019'; known: anand2020"):
        survival_recipe("zhao2019")
