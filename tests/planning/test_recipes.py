"""Recipes are read from plans/, and what is wrong with one is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autobrats import registry
from autobrats.errors import UserError
from autobrats.planning import recipes
from autobrats.planning.recipes import read_recipe, recipe_names, recipes_folder


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_names_parts_that_exist(name: str) -> None:
    recipe = read_recipe(name)
    for kind in ("loss", "sampler", "optimiser", "schedule", "trainer"):
        assert getattr(recipe, kind).name in registry.names(kind)
    assert recipe.title and recipe.source
    assert {"loss", "sampler", "augmentation", "optimiser", "schedule"} <= set(recipe.why)


def test_the_default_is_there() -> None:
    assert "default" in recipe_names()


def test_an_unknown_recipe_names_the_known() -> None:
    with pytest.raises(UserError, match=r"no recipe 'defualt'; known: .*default"):
        read_recipe("defualt")


def test_a_wrong_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((recipes_folder() / "default.json").read_text())
    content["augmentation"]["rotation_degree"] = 15
    (tmp_path / "mine.json").write_text(json.dumps(content))
    monkeypatch.setattr(recipes, "recipes_folder", lambda: tmp_path)
    with pytest.raises(
        UserError, match=r"unknown key 'augmentation\.rotation_degree'; allowed there: .*rotation_degrees"
    ):
        read_recipe("mine")
