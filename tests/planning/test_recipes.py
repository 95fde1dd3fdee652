"""Recipes are read from plans/, and what is wrong with one is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_dataset import BRATS_MODALITIES, PLAIN, made_up, planner

from autobrats import registry
from autobrats.errors import UserError
from autobrats.networks.building import build_network
from autobrats.plan import Plan
from autobrats.planning import recipes
from autobrats.planning.plan_check import check_plan
from autobrats.planning.planner import Planner
from autobrats.planning.published_planner import PublishedPlanner
from autobrats.planning.recipes import expand_names, read_recipe, recipe_names, recipes_folder

PAPERS = [name for name in recipe_names() if name != "default"]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_names_parts_that_exist(name: str) -> None:
    recipe = read_recipe(name)
    for kind in ("loss", "sampler", "optimiser", "schedule", "trainer"):
        assert getattr(recipe, kind).name in registry.names(kind)
    for kind, parts in (("hook", recipe.hooks), ("postprocessing", recipe.postprocessing)):
        assert all(part.name in registry.names(kind) for part in parts)
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


@pytest.mark.parametrize(("modalities", "plain"), [(BRATS_MODALITIES, False), (["t2f"], True)])
@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("as_published", [False, True])
def test_every_paper_is_planned_for_regions_and_plain_labels(
    name: str, as_published: bool, modalities: list[str], plain: bool, machine_of_flops: Callable
) -> None:
    machine_of_flops(1e12)
    dataset, fingerprint = made_up(modalities=modalities, **({"convention": PLAIN} if plain else {}))
    kind = PublishedPlanner if as_published else Planner
    template = planner(dataset, fingerprint, max_hours=None if as_published else 1)
    decider = kind(
        dataset, fingerprint, template.machine, template.speed, template.wishes, read_recipe(name), recipe_name=name
    )
    plan = decider.plan()
    check_plan(plan)
    configuration = plan.configurations[f"3d_fullres_{name}"]
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    if as_published:
        published = read_recipe(name).published
        assert published is not None
        given = [(entry.patch_size, entry.batch_size) for entry in configuration.pool]
        assert given == [(entry.patch_size, entry.batch_size) for entry in published.pool]
        assert configuration.network == read_recipe(name).network
    else:
        assert configuration.training.iterations >= 300


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_go_from_the_published_to_the_smallest(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.network is not None and recipe.sizes[0].options == {}
    wanted = [size.enough_iterations for size in recipe.sizes]
    assert wanted == sorted(wanted, reverse=True) and wanted[-1] == 0
    parameters = [
        sum(
            p.numel()
            for p in build_network(recipe.network.name, {**recipe.network.options, **size.options}, 4, 3).parameters()
        )
        for size in recipe.sizes
    ]
    assert parameters == sorted(parameters, reverse=True)


def test_names_stand_for_one_several_or_all() -> None:
    assert expand_names([]) == []
    assert expand_names(["zhao2019", "anand2020", "zhao2019"]) == ["zhao2019", "anand2020"]
    assert expand_names(["nguyen2020"]) == ["nguyen2020_bifpn", "nguyen2020_unet_plus_plus"]
    assert expand_names(["all"]) == PAPERS
    with pytest.raises(UserError, match=r"no recipe 'default'; known: anand2020, .*, all"):
        expand_names(["default"])
