"""Planning a dataset for the first time or again: what is decided, what is kept, what is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.plan import Plan
from autobrats.planning.generated_files import is_edited, reason_to_keep, write_generated
from autobrats.planning.plan_check import check_plan
from autobrats.planning.planner import Planner
from autobrats.planning.recipes import DEFAULT, configuration_name
from autobrats.planning.splits import Splits, in_no_fold, make_split, make_splits, read_splits
from autobrats.workspace import DatasetFolder

NewPlanner = Callable[[str, bool], Planner]
"""A planner for the recipe of that name, fitted or as published."""


@dataclass(frozen=True)
class Planned:
    """What came out, and sentences for the user about what was kept.

    Attributes:
        content: the plan, or the splits.
        notes: one sentence each.
    """

    content: Plan
    notes: list[str] = field(default_factory=list)


def decide_plan(
    folder: DatasetFolder, dataset: Dataset, new_planner: NewPlanner, recipes: Mapping[str, bool], overwrite: bool
) -> Planned:
    """Write plan.json: the default's configuration and those of the recipes.

    A plan that a person edited, or that trainings were begun with, is kept, and configurations that it lacks are added. Else
    everything is decided anew, the recipes that were in the old plan included.

    Args:
        recipes: to add, without the default; by name, whether as published.
        overwrite: decide anew in any case, with these recipes only.

    Raises:
        UserError: if the kept plan cannot be trained, or is not of this dataset as it is now.
    """
    reason = reason_to_keep(folder, folder.plan_file)
    if reason and not overwrite:
        plan = read_model(folder.plan_file, Plan)
        check_plan(plan)
        if (plan.modalities, plan.convention) != (dataset.modalities, dataset.convention):
            raise UserError(
                f"{folder.plan_file} is kept because {reason}, but its modalities or its convention are not those that were "
                "found in the dataset now; correct it, or decide anew with --overwrite."
            )
        kept = Planned(plan, [f"{folder.plan_file} is kept as it is, because {reason} (--overwrite decides anew)."])
        return add_recipes(folder, kept, new_planner, recipes)
    if folder.plan_file.is_file() and not overwrite:
        before = read_model(folder.plan_file, Plan).configurations.values()
        recipes = {**{old.recipe: old.as_published for old in before if old.recipe != DEFAULT}, **recipes}
    plan = new_planner(DEFAULT, False).plan()
    for recipe, as_published in recipes.items():
        plan.configurations[configuration_name(recipe)] = new_planner(recipe, as_published).configuration_beside(plan)
    write_generated(folder.plan_file, plan)
    return Planned(plan)


def add_recipes(folder: DatasetFolder, kept: Planned, new_planner: NewPlanner, recipes: Mapping[str, bool]) -> Planned:
    """Write the configurations of recipes into a plan whose others stay as they are."""
    plan, notes = kept.content, [*kept.notes]
    missing = [recipe for recipe in recipes if configuration_name(recipe) not in plan.configurations]
    there = [configuration_name(recipe) for recipe in recipes if recipe not in missing]
    if there:
        notes.append(
            f"In the plan already and kept: {', '.join(there)} (delete it from plan.json to have it decided anew)."
        )
    for recipe in missing:
        planner = new_planner(recipe, recipes[recipe])
        plan.configurations[configuration_name(recipe)] = planner.configuration_beside(plan)
    if missing:
        # An edited plan stays marked as edited.
        (write_json if is_edited(folder.plan_file) else write_generated)(folder.plan_file, plan)
        notes.append(f"Added: {', '.join(configuration_name(recipe) for recipe in missing)}.")
    return Planned(plan, notes)


def own_splits(
    folder: DatasetFolder, patients: Mapping[str, str], user_file: Path | None, overwrite: bool
) -> tuple[Splits | None, list[str]]:
    """The folds that are not ours to decide, checked: the user's file, or a splits.json that is to be kept.

    Args:
        patients: patient by case.
        user_file: the user's own folds.

    Returns:
        The folds (None: they are ours to decide) and sentences for the user.

    Raises:
        UserError: if the folds are wrong, or would replace those that trainings were begun with.
    """
    reason = reason_to_keep(folder, folder.splits_file)
    if user_file is not None:
        splits = read_splits(user_file, patients)
        if reason and not overwrite and read_model(folder.splits_file, Splits) != splits:
            raise UserError(f"{folder.splits_file} is kept because {reason}; replace it with --splits and --overwrite.")
        write_json(folder.splits_file, splits)
        notes = [f"Folds: the {len(splits.folds)} of {user_file}; no patient is on both sides of one."]
    elif not reason or overwrite:
        return None, []
    else:
        try:
            splits = read_splits(folder.splits_file, patients)
        except UserError as error:
            raise UserError(f"{error} Correct it, or decide anew with --overwrite.") from None
        notes = [f"{folder.splits_file} is kept as it is, because {reason} (--overwrite decides anew)."]
    left_over = in_no_fold(splits, patients)
    if left_over:
        number = f"{len(left_over)} case{'s' * (len(left_over) != 1)}"
        notes.append(f"In no fold, and so only in fold 'all': {number}, the first is {left_over[0]}.")
    return splits, notes


def write_splits(
    folder: DatasetFolder,
    patients: Mapping[str, str],
    strata: Mapping[str, str],
    plan: Plan,
    shares: tuple[float, float, float] | None,
) -> tuple[Splits, list[str]]:
    """Decide the folds and write them; sentences for the user beside them.

    Args:
        strata: what the folds are to be alike in, by case.
        shares: of training, validation and test cases, for one split instead of folds.
    """
    if shares is None:
        splits, notes = make_splits(patients, strata, plan.folds, plan.seed), []
    else:
        splits = make_split(patients, strata, shares, plan.seed)
        test = in_no_fold(splits, patients)
        fold = splits.folds[0]
        notes = [
            f"One split: {len(fold.train)} cases train, {len(fold.val)} validate, {len(test)} are held back for testing "
            f"({', '.join(test[:3])}{' ...' if len(test) > 3 else ''})."
        ]
    write_generated(folder.splits_file, splits)
    return splits, notes
