"""Every recipe of a paper, planned for a small dataset, trained for some steps, validated and used for prediction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from made_up_dataset import machine, speed
from training_runs import CPU, edit_plan

from autobrats.commands.find_best_config import main as find_best_config
from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.files import read_json, read_model, write_json
from autobrats.fingerprint.survey import survey
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part, Plan
from autobrats.planning.planner import Planner
from autobrats.planning.recipes import configuration_name, read_recipe, recipe_names
from autobrats.planning.wishes import Wishes
from autobrats.training.cross_validation import train_folds
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

PAPERS = [name for name in recipe_names() if name != "default"]
STEPS = 8


def add_smallest(folder: DatasetFolder, recipe_name: str) -> str:
    """Plan a recipe's configuration with its smallest network, for a few steps; its name."""
    dataset, plan = read_model(folder.dataset_file, Dataset), read_model(folder.plan_file, Plan)
    fingerprint, _ = survey(dataset, workers=0)
    recipe = read_recipe(recipe_name)
    wishes = Wishes(device=torch.device("cpu"), epochs=1)
    recipe = recipe.model_copy(update={"sizes": recipe.sizes[-1:]})
    planner = Planner(dataset, fingerprint, machine(), speed(), wishes, recipe, recipe_name)
    configuration = planner.configuration_beside(plan)
    training = configuration.training.model_copy(update={"iterations": STEPS, "iterations_per_epoch": 4})
    name = configuration_name(recipe_name)
    plan.configurations = {name: configuration.model_copy(update={"training": training})}
    write_json(folder.plan_file, plan)
    return name


@pytest.mark.parametrize("kind", ["regions", "labels"])
@pytest.mark.parametrize("recipe", PAPERS)
def test_a_recipe_trains_and_predicts(
    regions_dataset: DatasetFolder, labels_dataset: DatasetFolder, copy_of: Callable, recipe: str, kind: str
) -> None:
    folder = copy_of(regions_dataset if kind == "regions" else labels_dataset)
    name = add_smallest(folder, recipe)
    (result,) = train_folds(folder, name, ["0"], CPU)
    assert result.metrics is not None and result.metrics.mean_dice.mean is not None
    run = RunDirectory(folder.run(name, 0))
    configuration = read_model(folder.plan_file, Plan).configurations[name]
    if configuration.postprocessing:
        stages = read_json(run.postprocessing_file)
        assert list(stages) == ["network", *(step.name for step in configuration.postprocessing)]
    if any(hook.name == "hard_mining" for hook in configuration.hooks):
        assert len(read_json(run.hard_mining_file)["rounds"]) == 2
    assert find_best_config(["-w", str(folder.path.parent), "-d", folder.name]) == 0
    dataset = read_model(folder.dataset_file, Dataset)
    predictor = Predictor.load(folder.model, mirroring=False)
    labels = predictor.predict(dataset.cases[0]).labels
    assert set(labels.ravel().tolist()) <= {0, *dataset.convention.labels.values()}


def test_a_gate_without_a_branch_is_told_before_the_training(tiny: DatasetFolder) -> None:
    edit_plan(tiny, postprocessing=[Part(name="slice_gate")])
    with pytest.raises(UserError, match=r"postprocessing \(slice_gate\) asks a slice-classification branch"):
        train_folds(tiny, "3d_fullres", ["0"], CPU)
    edit_plan(tiny, postprocessing=[Part(name="components", options={"min_share": 7})])
    with pytest.raises(UserError, match="min_share"):
        train_folds(tiny, "3d_fullres", ["0"], CPU)
