"""autobrats_survival_train: a model of overall survival, tuned without being fooled."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import (
    add_dataset_arguments,
    at_least_two,
    count,
    new_parser,
    not_negative,
    positive,
    run,
)
from autobrats.commands.survival_sources import (
    add_source_arguments,
    add_workers_argument,
    print_clinical,
    print_notes,
    refuse_unwritable,
    sources_of,
)
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.survival.cohort import Cohort
    from autobrats.survival.survival_inputs import SurvivalInputs
    from autobrats.survival.survival_training import TrainedSurvival, TrainingOptions
    from autobrats.workspace import DatasetFolder

_CLINICAL_REPORT, _FEATURES = "clinical_report.csv", "features.csv"
_EPILOG = """\
examples:
  autobrats_survival_train                                    the workspace's dataset with its own masks and tables
  autobrats_survival_train --clinical survival_info.csv       the same with another clinical table
  autobrats_survival_train --features radiomics.csv --clinical clinical.csv -o model    ready features, no images
  autobrats_survival_train -s segmentations --clinical survival_info.csv -o model       masks, no images
  autobrats_survival_train --clinical survival_info.csv -o model                        neither: age and the like alone
  autobrats_survival_train --features radiomics.csv --clinical clinical.csv --columns survival_days=OS:months died=Event

Age alone, and age with grade or resection where they are given, are always tried; another model is taken only if it
beats the best of them by more than the interval of the difference, on patients that neither saw.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = new_parser(
        "autobrats_survival_train", "Learn to predict how long patients live, and say how well that works.", _EPILOG
    )
    add_dataset_arguments(result)
    add_source_arguments(result)
    result.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="for the model (default: survival in the dataset's folder)"
    )
    result.add_argument(
        "--recipe", metavar="NAME", help="train this published model in place of the tuned one: anand2020"
    )
    result.add_argument("--no-radiomics", action="store_true", help="volumes and places only; quicker with images")
    result.add_argument(
        "--objective",
        choices=["c_index", "spearman", "accuracy", "mse"],
        help="what is tuned for (default: c_index if patients are censored, else spearman)",
    )
    result.add_argument(
        "--gtr-only", action="store_true", help="patients with gross total resection only, as the BraTS portal scores"
    )
    result.add_argument(
        "--trials", type=not_negative, default=60, metavar="N", help="models that each search tries (default: 60)"
    )
    result.add_argument(
        "--folds", type=at_least_two, default=5, metavar="K", help="of the outer cross-validation (default: 5)"
    )
    result.add_argument("--repeats", type=count, default=3, metavar="R", help="of it, with other folds (default: 3)")
    result.add_argument("--max-hours", type=positive, metavar="H", help="for all searches together (default: no limit)")
    result.add_argument(
        "--null-checks",
        type=not_negative,
        default=0,
        metavar="N",
        help="repeat everything with survival shuffled between patients, which must find nothing (default: 0)",
    )
    result.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of folds, search and models")
    add_workers_argument(result)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of autobrats_survival_train."""
    return run(parser(), survival_train, argv)


def survival_train(arguments: argparse.Namespace) -> int:
    """Read what is known of the patients, train, write the model and its report, and say what to expect."""
    from autobrats.dataset.cases import Dataset
    from autobrats.files import read_model
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.survival.feature_files import write_features
    from autobrats.survival.models.recipes import survival_recipe
    from autobrats.survival.survival_inputs import CACHE_FOLDER, read_inputs
    from autobrats.workspace import Workspace

    if arguments.recipe is not None:
        survival_recipe(arguments.recipe)
    dataset_folder = _dataset_folder(arguments)
    others = arguments.features is not None or arguments.input is not None
    dataset = None if dataset_folder is None or others else read_model(dataset_folder.dataset_file, Dataset)
    home = dataset_folder or Workspace.locate(arguments.workspace)
    output = arguments.output or home.survival
    sources = sources_of(arguments, dataset)
    _refuse_output(output)
    with ProgressBar("features") as on_progress:
        inputs = read_inputs(
            sources,
            cache=output / CACHE_FOLDER,
            radiomics=not arguments.no_radiomics,
            workers=arguments.workers,
            on_progress=on_progress,
            check=lambda found: _cohort(arguments, found),
        )
    print_clinical(inputs)
    print_notes(inputs)
    if inputs.features is None:
        print("Neither features nor segmentations are given: the clinical data alone is learnt from.", flush=True)
    cohort, notes = _cohort(arguments, inputs)
    for note in notes:
        print(_sentence(note), flush=True)
    options = _options(arguments, cohort)
    inputs.clinical.write_report(output / _CLINICAL_REPORT)
    if inputs.features is not None and arguments.features is None:
        write_features(output / _FEATURES, inputs.features)
    trained = _train(cohort, options, output, notes)
    _write(arguments, output, trained, cohort, options, inputs, notes)
    return 1 if inputs.failures else 0


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _dataset_folder(arguments: argparse.Namespace) -> DatasetFolder | None:
    """The workspace's dataset: the one that was named, else the only one, if nothing else is given to learn from.

    Segmentations or a clinical table are enough where the workspace has no dataset, or where the model goes to a folder of
    its own and neither workspace nor dataset were named.

    Raises:
        UserError: if there is nothing to learn from, or several datasets.
    """
    from autobrats.workspace import Workspace

    workspace = Workspace.locate(arguments.workspace)
    if arguments.dataset is not None:
        return workspace.dataset(arguments.dataset)
    if arguments.features is not None or arguments.input is not None:
        return None
    if arguments.segmentations is not None or arguments.clinical:
        if not workspace.datasets() or (arguments.output is not None and arguments.workspace is None):
            return None
    elif not workspace.datasets():
        raise UserError(
            f"There is nothing to learn from: the workspace {workspace.path} holds no dataset, and neither a clinical table "
            "(--clinical) nor features or segmentations are given."
        )
    return workspace.dataset()


def _refuse_output(output: Path) -> None:
    """UserError if the folder cannot be written, or holds files of our names that are not of an earlier training."""
    from autobrats.survival.models.model_file import DESCRIPTION_FILE
    from autobrats.survival.survival_inputs import CACHE_FOLDER
    from autobrats.survival.survival_training import NESTED_FOLDER
    from autobrats.survival.training_files import WRITTEN

    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; name a folder for the model.")
    refuse_unwritable(output)
    if not any((output / name).exists() for name in (DESCRIPTION_FILE, CACHE_FOLDER, NESTED_FOLDER)):
        for name in (*WRITTEN, _CLINICAL_REPORT, _FEATURES):
            if (output / name).exists():
                raise UserError(f"{output / name} is not from autobrats_survival_train; choose another output folder.")


def _cohort(arguments: argparse.Namespace, inputs: SurvivalInputs) -> tuple[Cohort, list[str]]:
    """The patients to learn from, and sentences on who was left out."""
    from autobrats.survival.cohort_building import build_cohort

    if not inputs.clinical.records:
        raise UserError("No clinical data is given; name a table with age and survival by --clinical.")
    cohort, notes = build_cohort(
        inputs.features, inputs.clinical.records, patients=inputs.patients, gtr_only=arguments.gtr_only
    )
    if len(cohort) < 2 * arguments.folds:
        raise UserError(
            f"{len(cohort)} patients are too few for {arguments.folds} folds; give --folds {len(cohort) // 2} or less."
        )
    return cohort, notes


def _options(arguments: argparse.Namespace, cohort: Cohort) -> TrainingOptions:
    from autobrats.survival.survival_training import TrainingOptions
    from autobrats.survival.tuning.nested import NestedOptions
    from autobrats.survival.tuning.objectives import default_objective
    from autobrats.survival.tuning.search import SearchOptions
    from autobrats.workers import default_workers

    objective = arguments.objective or default_objective(cohort.died)
    splits = arguments.folds * arguments.repeats
    workers = default_workers() if arguments.workers is None else arguments.workers
    seconds = None
    if arguments.max_hours is not None:
        at_once = max(1, min(workers, splits))
        searches = (1 + arguments.null_checks) * -(-splits // at_once) + 1
        seconds = 3600 * arguments.max_hours / searches
    search = SearchOptions(objective, trials=0 if arguments.recipe else arguments.trials, seed=arguments.seed)
    nested = NestedOptions(
        search, folds=arguments.folds, repeats=arguments.repeats, seed=arguments.seed, max_seconds=seconds
    )
    return TrainingOptions(nested, recipe=arguments.recipe, null_checks=arguments.null_checks, workers=workers)


def _train(cohort: Cohort, options: TrainingOptions, output: Path, notes: Sequence[str]) -> TrainedSurvival:
    import time

    from autobrats.survival.survival_training import train_survival

    started = time.monotonic()

    def told(stage: str, done: int, total: int) -> None:
        # A line for each split, but not for each trial of the last search.
        if stage != "search" or done % 20 == 0 or done == total:
            print(f"{stage}: {done} of {total} ({time.monotonic() - started:.0f} s)", flush=True)

    return train_survival(cohort, options, output, notes=notes, told=told)


def _write(
    arguments: argparse.Namespace,
    output: Path,
    trained: TrainedSurvival,
    cohort: Cohort,
    options: TrainingOptions,
    inputs: SurvivalInputs,
    notes: Sequence[str],
) -> None:
    from datetime import datetime
    from importlib.metadata import version

    from autobrats import __version__
    from autobrats.reporting.page.survival_page import put_survival_section
    from autobrats.reporting.survival_tables import print_model_scores
    from autobrats.survival.story_building import build_story, null_sentences
    from autobrats.survival.training_files import REPORT_FILE, FeatureSource, write_training
    from autobrats.workspace import DatasetFolder

    facts = {
        "autobrats": __version__,
        **{name: version(name) for name in ("scikit-survival", "scikit-learn", "pyradiomics-bhklab")},
        "seed": str(arguments.seed),
        "objective": options.nested.search.objective,
        "trials a search": str(arguments.trials),
    }
    story = build_story(
        trained,
        cohort,
        options,
        created=datetime.now().strftime("%Y-%m-%d %H:%M"),
        facts=facts,
        notes=[_sentence(note) for note in notes],
    )
    made_of = "table" if arguments.features is not None else "images" if inputs.features is not None else "clinical"
    write_training(output, trained, cohort, FeatureSource.model_validate({"source": made_of}), story)
    print()
    print_model_scores(story.models)
    print(story.how_estimated)
    for sentence in [*story.chosen, *null_sentences(trained, options)]:
        print(sentence)
    print(f"Model: {output}")
    report = output / REPORT_FILE
    dataset_folder = DatasetFolder(output.absolute().parent)
    if dataset_folder.survival == output.absolute() and dataset_folder.report_file.is_file():
        put_survival_section(dataset_folder.report_file, story)
        report = dataset_folder.report_file
    print(f"Report: {report}")
