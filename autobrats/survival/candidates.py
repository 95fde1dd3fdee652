"""The models that a table of survival results has beside the tuned one: baselines, and what the field does."""

from __future__ import annotations

from autobrats.survival.cohort import Cohort
from autobrats.survival.models.recipes import survival_recipe, survival_recipe_names
from autobrats.survival.models.spec import ModelOptions, ModelSpec
from autobrats.survival.tuning.baselines import AGE

SIZES_AND_SHAPES = "random forest of age, sizes and shapes"


def references(cohort: Cohort) -> dict[str, ModelSpec]:
    """Models that are judged but never chosen, by name, as far as the features allow.

    Every published recipe whose families of features are all there, and a random forest of age, sizes and shapes.

    Args:
        cohort: whose columns are looked at.
    """
    families = set(cohort.features.families)
    found: dict[str, ModelSpec] = {}
    if shapes := tuple(
        name for name, family in zip(cohort.features.names, cohort.features.families) if family in ("size", "shape")
    ):
        age = (AGE,) if AGE in cohort.features.names else ()
        found[SIZES_AND_SHAPES] = ModelSpec(
            columns=(*age, *shapes), model="random_forest", options=ModelOptions(min_leaf=5, max_features=0.33)
        )
    for name in survival_recipe_names():
        spec = survival_recipe(name).spec
        if families.issuperset(spec.families):
            found[name] = spec
    return found
