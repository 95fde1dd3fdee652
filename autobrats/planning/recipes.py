"""Recipes: published methods (and the default) as plan values, one JSON each in plans/."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from autobrats.errors import UserError
from autobrats.files import read_model
from autobrats.plan import Augmentation, Part, Strict


class Recipe(Strict):
    """What a recipe fixes; the planner decides the rest.

    Attributes:
        title: one line for people.
        source: the paper, or what the values go back to.
        why: a sentence by key, copied into the plan.
    """

    title: str
    source: str
    output: Literal["auto", "regions", "labels"] = "auto"
    loss: Part
    sampler: Part
    augmentation: Augmentation
    optimiser: Part
    schedule: Part
    trainer: Part
    gradient_clip_norm: float | None = None
    overlap: float = 0.5
    why: dict[str, str] = Field(default_factory=dict)


def recipes_folder() -> Path:
    """Where the recipes lie: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "plans"
    return installed if installed.is_dir() else package.parent / "plans"


def recipe_names() -> list[str]:
    """The names of the recipes that are there."""
    return sorted(path.stem for path in recipes_folder().glob("*.json"))


def read_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: if there is none, with the names that exist, or if the file is not a recipe.
    """
    if name not in recipe_names():
        raise UserError(f"There is no recipe '{name}'; known: {', '.join(recipe_names())}.")
    return read_model(recipes_folder() / f"{name}.json", Recipe)
