"""Recipes: published methods (and the default) as plan values, one JSON each in plans/."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from autobrats.errors import UserError
from autobrats.files import read_model
from autobrats.plan import Augmentation, Part, PatchBatch, Strict

DEFAULT = "default"


class RecipeSize(Strict):
    """A width of a recipe's network, for machines and budgets that the published one is too large for.

    Attributes:
        name: for people.
        options: of the network, instead of the published ones of the same keys.
        enough_iterations: with fewer, the next smaller size does better.
        patch_side: the largest side of a patch that makes sense with this size.
    """

    name: str
    options: dict[str, Any]
    enough_iterations: int = Field(ge=0)
    patch_side: int = Field(gt=0)


class Published(Strict):
    """What the paper trained with, for ``--as-published``.

    Attributes:
        pool: patch and batch sizes.
        epochs: of the training.
    """

    pool: list[PatchBatch] = Field(min_length=1)
    epochs: int = Field(gt=0)


class Recipe(Strict):
    """What a recipe fixes; the planner decides the rest.

    Attributes:
        title: one line for people.
        source: the paper, or what the values go back to.
        modalities: that the network sees; all of the dataset's if None.
        intensities: see :class:`~autobrats.plan.Configuration`.
        network: as published; None for the default's own ladder of sizes.
        sizes: of the network, from the published to the smallest.
        pool: how patch and batch sizes are derived: the ``default`` way, or ``many`` sizes (Zhao et al., 2019).
        most_samples: of a batch.
        region_weights: ``equal``, or ``median_frequency`` (Eigen and Fergus, 2015).
        average_weights: whether a running average of the weights is validated and kept.
        overlap: of the windows at prediction.
        test_time_mirroring: whether windows are mirrored along the axes of the augmentation.
        mirror_average: whether mirrorings, folds and windows are averaged as probabilities or as logits.
        hooks: before those that every configuration has.
        published: sizes and schedule of the paper; None for the default.
        why: a sentence by key, copied into the plan.
    """

    title: str
    source: str
    modalities: list[str] | None = None
    intensities: Literal["as_stored", "unit_range"] = "as_stored"
    output: Literal["auto", "regions", "labels"] = "auto"
    network: Part | None = None
    sizes: list[RecipeSize] = Field(default_factory=list)
    pool: Literal["default", "many"] = "default"
    most_samples: int = Field(default=8, gt=0)
    loss: Part
    region_weights: Literal["equal", "median_frequency"] = "equal"
    sampler: Part
    augmentation: Augmentation
    optimiser: Part
    schedule: Part
    trainer: Part = Part(name="trainer")
    hooks: list[Part] = Field(default_factory=list)
    gradient_clip_norm: float | None = None
    average_weights: bool = True
    overlap: float = 0.5
    test_time_mirroring: bool = True
    mirror_average: Literal["probabilities", "logits"] = "probabilities"
    postprocessing: list[Part] = Field(default_factory=list)
    published: Published | None = None
    why: dict[str, str] = Field(default_factory=dict)


def recipes_folder() -> Path:
    """Where the recipes lie: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "plans"
    return installed if installed.is_dir() else package.parent / "plans"


def recipe_names() -> list[str]:
    """The names of the recipes that are there, the default's first."""
    return sorted((path.stem for path in recipes_folder().glob("*.json")), key=lambda name: (name != DEFAULT, name))


def expand_names(wanted: list[str]) -> list[str]:
    """The recipes that were asked for by name, without the default.

    A paper's name stands for all its forms (``nguyen2020`` for ``nguyen2020_bifpn`` and another), ``all`` for every recipe.

    Raises:
        UserError: for an unknown name, with the names that exist.
    """
    known = [name for name in recipe_names() if name != DEFAULT]
    found: list[str] = []
    for name in wanted:
        matching = [it for it in known if name in ("all", it) or it.startswith(f"{name}_")]
        if not matching:
            raise UserError(f"There is no recipe '{name}'; known: {', '.join([*known, 'all'])}.")
        found += matching
    return list(dict.fromkeys(found))


def read_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: if there is none, with the names that exist, or if the file is not a recipe.
    """
    if name not in recipe_names():
        raise UserError(f"There is no recipe '{name}'; known: {', '.join(recipe_names())}.")
    return read_model(recipes_folder() / f"{name}.json", Recipe)


def configuration_name(recipe: str) -> str:
    """The configuration that a recipe becomes: ``3d_fullres`` for the default, else ``3d_fullres_RECIPE``."""
    return "3d_fullres" if recipe == DEFAULT else f"3d_fullres_{recipe}"
