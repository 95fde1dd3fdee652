"""Published survival models as specs, one JSON each in plans/survival/."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from autobrats.errors import UserError
from autobrats.files import read_model
from autobrats.planning.recipes import recipes_folder
from autobrats.survival.models.spec import ModelSpec


class SurvivalRecipe(BaseModel):
    """What a paper did.

    Attributes:
        title: one line for people.
        source: the paper.
        spec: the model.
        why: a sentence by key, on what the paper says and what it leaves open.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: str
    spec: ModelSpec
    why: dict[str, str] = Field(default_factory=dict)


def survival_recipe_names() -> list[str]:
    """The names of the recipes that are there."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def survival_recipe(name: str) -> SurvivalRecipe:
    """The recipe of that name.

    Raises:
        UserError: if there is none, with the names that exist, or if the file is not a recipe.
    """
    if name not in survival_recipe_names():
        raise UserError(f"There is no survival recipe '{name}'; known: {', '.join(survival_recipe_names())}.")
    return read_model(_folder() / f"{name}.json", SurvivalRecipe)


def _folder() -> Path:
    return recipes_folder() / "survival"
