"""autobrats_plan: read a dataset, check it, measure it, decide everything, preprocess."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import (
    add_dataset_arguments,
    count,
    dataset_options,
    new_parser,
    not_negative,
    positive,
    run,
)

if TYPE_CHECKING:
    from autobrats.dataset.cases import Case, Dataset
    from autobrats.dataset.faults import Fault
    from autobrats.devices import Machine
    from autobrats.fingerprint.cases import CaseFingerprint
    from autobrats.fingerprint.dataset import DatasetFingerprint
    from autobrats.plan import Plan
    from autobrats.planning.speed import StepSpeed
    from autobrats.planning.splits import Splits
    from autobrats.workspace import DatasetFolder

_EPILOG = """\
examples:
  autobrats_plan -i BraTS2021_Training                  everything is found out
  autobrats_plan -i BraTS2021_Training --max-hours 24   sized so that five folds train in a day
  autobrats_plan --explain                              tell the plan that is there, and why
  autobrats_plan --recipe anand2020                     add a paper's method to the plan that is there

The dataset is read where it lies; nothing is copied or renamed. plan.json may be edited: call autobrats_plan again and the
edited plan is honoured (--overwrite decides anew).
"""


_HEAVY = ("torch._dynamo", "sklearn.model_selection", "autobrats.planning.planner")
"""Seconds of imports that planning needs; the first is what every optimiser imports at its first step."""


def new_plan_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_plan."""
    parser = new_parser(
        "autobrats_plan", "Check a dataset, measure it and this machine, plan, and preprocess.", _EPILOG
    )
    parser.add_argument("-i", "--input", type=Path, metavar="FOLDER", help="folder of studies, or a CSV file")
    add_dataset_arguments(parser)
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--layout", choices=["brats", "flat", "nnunet", "msd", "csv"], help="instead of the layout that is recognised"
    )
    reading.add_argument(
        "--convention",
        metavar="NAME",
        help="what the integers mean: brats2012, brats2017, brats2023, brats2024, brats_ped or plain",
    )
    reading.add_argument(
        "--skip-faulty", action="store_true", help="leave out the cases that have errors instead of stopping"
    )
    folds = reading.add_mutually_exclusive_group()
    folds.add_argument(
        "--splits", type=Path, metavar="FILE", help='your own folds: [{"train": [...], "val": [...]}, ...]'
    )
    folds.add_argument(
        "--split",
        type=_shares,
        metavar="T:V:H",
        help="instead of five folds, divide the cases once into training, validation and held back, such as 70:20:10",
    )
    recipes = parser.add_argument_group("recipes")
    recipes.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME",
        help="add a paper's method as the configuration 3d_fullres_NAME, fitted to dataset, memory and budget; may be said "
        "several times, and 'all' adds every one; without -i, to the plan that is there",
    )
    recipes.add_argument(
        "--as-published", action="store_true", help="keep the recipes' own sizes and schedules instead"
    )
    budget = parser.add_argument_group("budget")
    length = budget.add_mutually_exclusive_group()
    length.add_argument("--max-hours", type=positive, metavar="H", help="hours for training all folds together")
    length.add_argument("--epochs", type=count, metavar="N", help="epochs of every fold")
    budget.add_argument(
        "--gpu-memory-gb",
        type=positive,
        metavar="G",
        help="plan for a GPU with so much memory instead of this machine's",
    )
    budget.add_argument("--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is)")
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help="processes that read and preprocess; 0 for none (default: the cores)",
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of folds and training (default: 0)")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="decide anew even if plan.json or splits.json were edited or trained with",
    )
    parser.add_argument(
        "--explain", action="store_true", help="tell the whole plan, and why; without -i, the one that is there"
    )
    return parser


def _shares(text: str) -> tuple[float, float, float]:
    try:
        training, validation, test = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form 70:20:10") from None
    if min(training, validation) <= 0 or test < 0:
        raise argparse.ArgumentTypeError(f"'{text}': training and validation need a share above 0")
    return training, validation, test


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_plan_parser(), _plan, argv)


def _plan(arguments: argparse.Namespace) -> int:
    from autobrats.workspace import Workspace

    workspace = Workspace.locate(arguments.workspace)
    _check_combination(arguments)
    if arguments.input is None:
        return _with_existing(arguments, workspace.dataset(arguments.dataset))

    folder = workspace.new_dataset(arguments.dataset or _name_of(arguments.input))
    before = _state_before(arguments)
    if _is_unchanged(arguments, folder, before):
        return _tell_unchanged(arguments, folder)

    from autobrats.workers import kept_workers

    with kept_workers():
        return _plan_anew(arguments, folder, before)


def _plan_anew(arguments: argparse.Namespace, folder: DatasetFolder, before: str) -> int:
    from autobrats.dataset.volumes import study_memory_gib
    from autobrats.devices import choose_device, machine_facts
    from autobrats.planning.generated_files import TRAINED, reason_to_keep
    from autobrats.planning.planned_state import remember_planned
    from autobrats.workers import default_workers

    dataset, faults = _read(arguments, folder)
    _refuse_another_dataset(arguments, folder, dataset)
    workers = default_workers(study_memory_gib(dataset)) if arguments.workers is None else arguments.workers
    with _importing_beside(*_HEAVY) if workers else contextlib.nullcontext(lambda: False) as imports_go_on:
        fingerprint, dataset = _survey(arguments, folder, dataset, faults, workers)
        if imports_go_on():
            _preprocess_ahead(arguments, folder, dataset, fingerprint, workers, imports_go_on)

    from autobrats.planning.network_sizes import standard_network
    from autobrats.planning.speed import measure_standard_step

    device = choose_device(arguments.device)
    measured = machine_facts(folder.path.parent), measure_standard_step(device, standard_network())
    # What is kept for trainings is decided anew when they are gone, and so not remembered as what this state leads to.
    files = (folder.plan_file, folder.splits_file)
    is_kept = not arguments.overwrite and any(reason_to_keep(folder, file) == TRAINED for file in files)
    own_splits = _own_splits(arguments, folder, dataset)
    n_folds, training_cases = None, None
    if arguments.split is not None:
        n_folds, training_cases = 1, round(arguments.split[0] / sum(arguments.split) * len(dataset.cases))
    elif own_splits is not None:
        n_folds, training_cases = len(own_splits.folds), _training_cases(own_splits)
    plan = _decide(arguments, folder, dataset, fingerprint, measured, n_folds, training_cases)
    _write_fingerprint(folder, dataset, fingerprint, measured)
    splits = own_splits or _write_splits(arguments, folder, dataset, fingerprint, plan)
    if not _preprocess(folder, dataset, plan, workers):
        return 1
    if not is_kept:
        remember_planned(folder, before)
    _tell_next(arguments, plan, splits)
    return 0


def _state_before(arguments: argparse.Namespace) -> str:
    from autobrats.planning.planned_state import state_before

    names = ("convention", "skip_faulty", "split", "max_hours", "epochs", "gpu_memory_gb", "device", "seed")
    options = {name: getattr(arguments, name) for name in names}
    return state_before(arguments.input, arguments.layout, options)


def _is_unchanged(arguments: argparse.Namespace, folder: DatasetFolder, before: str) -> bool:
    """Whether the same command ended well before, and nothing changed since; one that adds or replaces always works."""
    from autobrats.dataset.cases import Dataset
    from autobrats.files import read_model
    from autobrats.plan import Plan
    from autobrats.planning.planned_state import is_as_planned
    from autobrats.preprocessing.dataset import is_preprocessed
    from autobrats.preprocessing.store import CaseStore

    if arguments.overwrite or arguments.recipe or arguments.splits or not is_as_planned(folder, before):
        return False
    dataset, plan = read_model(folder.dataset_file, Dataset), read_model(folder.plan_file, Plan)
    store = CaseStore(folder.preprocessed)
    return all(is_preprocessed(case, plan, store) for case in dataset.cases)


@contextlib.contextmanager
def _importing_beside(*modules: str) -> Iterator[Callable[[], bool]]:
    """Import modules in a thread while this one waits for its workers; who needs one that fails is told there.

    Yields whether they are still being imported.
    """

    def import_them() -> None:
        gc.disable()  # what is only growing would be searched again and again
        try:
            with contextlib.suppress(ImportError):
                for module in modules:
                    importlib.import_module(module)
        finally:
            gc.freeze()  # modules stay for good
            gc.enable()

    thread = threading.Thread(target=import_them, daemon=True)
    thread.start()
    try:
        yield thread.is_alive
    finally:
        thread.join()


def _preprocess_ahead(
    arguments: argparse.Namespace,
    folder: DatasetFolder,
    dataset: Dataset,
    fingerprint: DatasetFingerprint,
    workers: int,
    is_wanted: Callable[[], bool],
) -> None:
    """Begin with the cases while it is waited for what the rest of the plan needs, unless an older plan may be kept."""
    from autobrats.planning.dataset_planner import DatasetPlanner
    from autobrats.planning.generated_files import reason_to_keep
    from autobrats.preprocessing.dataset import preprocess_ahead
    from autobrats.preprocessing.store import CaseStore

    if arguments.overwrite or not reason_to_keep(folder, folder.plan_file):
        plan = DatasetPlanner(dataset, fingerprint, seed=arguments.seed).plan()
        preprocess_ahead(dataset, plan, CaseStore(folder.preprocessed), workers, is_wanted)


def _tell_unchanged(arguments: argparse.Namespace, folder: DatasetFolder) -> int:
    """Tell again what was planned, without torch."""
    from autobrats.dataset.cases import Dataset
    from autobrats.files import read_model
    from autobrats.plan import Plan
    from autobrats.planning.generated_files import reason_to_keep
    from autobrats.planning.splits import Splits
    from autobrats.reporting.fault_table import print_faults, read_faults

    plan = read_model(folder.plan_file, Plan)
    _tell_dataset(read_model(folder.dataset_file, Dataset))
    if faults := read_faults(folder.faults_file):
        print_faults(faults)
        print(f"(the table is in {folder.faults_file})")
    kept = [(file, reason_to_keep(folder, file)) for file in (folder.plan_file, folder.splits_file)]
    notes = [
        f"{file} is kept as it is, because {reason} (--overwrite decides anew)." for file, reason in kept if reason
    ]
    _tell_plan(arguments, plan, notes)
    print(f"Nothing changed since it was planned and preprocessed in {folder.path}.")
    _tell_next(arguments, plan, read_model(folder.splits_file, Splits))
    return 0


def _tell_next(arguments: argparse.Namespace, plan: Plan, splits: Splits) -> None:
    fold = "0" if splits.folds else "all"
    print(" ".join(["Next: autobrats_train", next(iter(plan.configurations)), fold, *dataset_options(arguments)]))


def _check_combination(arguments: argparse.Namespace) -> None:
    from autobrats.errors import UserError

    if arguments.input is None and (arguments.split is not None or arguments.splits is not None):
        raise UserError("The folds are decided when a dataset is read; say which with -i FOLDER as well.")
    if arguments.as_published and not arguments.recipe:
        raise UserError("--as-published is said of recipes; name one with --recipe.")
    if arguments.as_published and arguments.max_hours is not None:
        raise UserError(
            "--as-published keeps the paper's schedule; leave --max-hours out here, autobrats_train takes it as well."
        )


def _with_existing(arguments: argparse.Namespace, folder: DatasetFolder) -> int:
    """Without -i: add recipes to the plan that is there, or tell it."""
    from autobrats.dataset.cases import Dataset
    from autobrats.devices import choose_device, machine_facts
    from autobrats.errors import UserError
    from autobrats.files import read_model
    from autobrats.plan import Plan
    from autobrats.planning.fingerprint_file import FingerprintFile
    from autobrats.planning.network_sizes import standard_network
    from autobrats.planning.recipes import configuration_name, expand_names
    from autobrats.planning.speed import measure_standard_step
    from autobrats.planning.splits import read_splits

    if arguments.recipe:
        dataset = read_model(folder.dataset_file, Dataset)
        fingerprint = read_model(folder.fingerprint_file, FingerprintFile).dataset
        device = choose_device(arguments.device)
        measured = machine_facts(folder.path), measure_standard_step(device, standard_network())
        splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
        plan = _decide(arguments, folder, dataset, fingerprint, measured, None, _training_cases(splits))
        added = configuration_name(expand_names(arguments.recipe)[-1])
        print(" ".join(["Next: autobrats_train", added, "0" if plan.folds else "all", *dataset_options(arguments)]))
    elif arguments.explain:
        _tell_plan(arguments, read_model(folder.plan_file, Plan), [])
    else:
        raise UserError("Say which folder to plan with -i FOLDER, or --explain to have the existing plan told.")
    return 0


def _training_cases(splits: Splits) -> int | None:
    return len(splits.folds[0].train) if splits.folds else None


def _name_of(path: Path) -> str:
    """A dataset's name from its folder's (or CSV's) name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", path.resolve().name.removesuffix(".csv")).strip("._-")
    return name or "dataset"


def _read(arguments: argparse.Namespace, folder: DatasetFolder) -> tuple[Dataset, list[Fault]]:
    from autobrats.dataset.reading import read_dataset

    dataset, faults = read_dataset(
        arguments.input, name=folder.name, layout=arguments.layout, convention=arguments.convention
    )
    _tell_dataset(dataset)
    return dataset, faults


def _tell_dataset(dataset: Dataset) -> None:
    patients = len({case.patient for case in dataset.cases})
    print(
        f"{dataset.name}: {_count(len(dataset.cases), 'case')} of {_count(patients, 'patient')}, layout {dataset.layout}."
    )
    print(f"Modalities: {', '.join(dataset.modalities)}.")
    labels = ", ".join(f"{integer} {name}" for name, integer in dataset.convention.labels.items())
    named = f" ({labels})" if labels else ""
    print(f"Convention {dataset.convention.name}{named}: {dataset.convention_evidence}.", flush=True)


def _refuse_another_dataset(arguments: argparse.Namespace, folder: DatasetFolder, dataset: Dataset) -> None:
    """UserError if the dataset of that name in the workspace is another one."""
    from autobrats.dataset.cases import Dataset
    from autobrats.errors import UserError
    from autobrats.files import read_model

    if not folder.dataset_file.is_file() or arguments.overwrite:
        return
    there = read_model(folder.dataset_file, Dataset).root
    if there != dataset.root:
        raise UserError(
            f"The workspace's dataset {folder.name} is that of {there}; give this one another name with -d, or replace the "
            "other with --overwrite."
        )


def _survey(
    arguments: argparse.Namespace, folder: DatasetFolder, dataset: Dataset, faults: list[Fault], workers: int
) -> tuple[DatasetFingerprint, Dataset]:
    """Read every case once; show what is wrong; stop or leave out the faulty cases."""
    from autobrats.errors import UserError
    from autobrats.fingerprint.survey import survey
    from autobrats.reporting.fault_table import print_faults, write_faults
    from autobrats.reporting.progress_bar import ProgressBar

    with ProgressBar("Reading the cases") as on_progress:
        fingerprint, found = survey(dataset, workers, on_progress)
    faults = [*faults, *found]
    write_faults(folder.faults_file, faults)
    if faults:
        print_faults(faults)
        print(f"(the table is in {folder.faults_file})")
    errors = [fault for fault in faults if fault.severity == "error"]
    if not errors:
        return fingerprint, dataset
    faulty = {fault.case for fault in errors if fault.case}
    of_dataset = any(not fault.case for fault in errors)
    kept = [case for case in dataset.cases if case.name not in faulty]
    if not kept or of_dataset or not arguments.skip_faulty:
        can_skip = kept and not of_dataset
        raise UserError(
            f"{_count(len(errors), 'error')} in the dataset stop{'s' * (len(errors) == 1)} the plan; mend "
            f"{'it' if len(errors) == 1 else 'them'} as the table says"
            + (", or leave the faulty cases out with --skip-faulty." if can_skip else ".")
        )
    print(f"Left out as faulty: {', '.join(sorted(faulty))}.")
    dataset = dataset.model_copy(update={"cases": kept})
    return fingerprint.without(faulty), dataset


def _write_fingerprint(
    folder: DatasetFolder, dataset: Dataset, fingerprint: DatasetFingerprint, measured: tuple[Machine, StepSpeed]
) -> None:
    from autobrats.files import write_json
    from autobrats.planning.fingerprint_file import FingerprintFile

    machine, speed = measured
    write_json(folder.dataset_file, dataset)
    write_json(folder.fingerprint_file, FingerprintFile(dataset=fingerprint, machine=machine, training_step=speed))


def _decide(
    arguments: argparse.Namespace,
    folder: DatasetFolder,
    dataset: Dataset,
    fingerprint: DatasetFingerprint,
    measured: tuple[Machine, StepSpeed],
    n_folds: int | None,
    training_cases: int | None,
) -> Plan:
    """Make the plan, or honour the one that a person edited or that trainings were begun with; add the recipes."""
    from autobrats.devices import choose_device
    from autobrats.planning.planner import Planner
    from autobrats.planning.published_planner import PublishedPlanner
    from autobrats.planning.recipes import expand_names, read_recipe
    from autobrats.planning.replanning import Planned, add_recipes, decide_plan
    from autobrats.planning.wishes import Wishes

    wishes = Wishes(
        device=choose_device(arguments.device),
        max_hours=arguments.max_hours,
        epochs=arguments.epochs,
        gpu_memory_gib=arguments.gpu_memory_gb,
        seed=arguments.seed,
        n_folds=n_folds,
        training_cases=training_cases,
    )

    def new_planner(recipe: str, as_published: bool) -> Planner:
        kind = PublishedPlanner if as_published else Planner
        return kind(dataset, fingerprint, *measured, wishes, read_recipe(recipe), recipe)

    recipes = dict.fromkeys(expand_names(arguments.recipe), arguments.as_published)
    if arguments.input is None:
        from autobrats.files import read_model
        from autobrats.plan import Plan

        planned = add_recipes(folder, Planned(read_model(folder.plan_file, Plan)), new_planner, recipes)
    else:
        planned = decide_plan(folder, dataset, new_planner, recipes, arguments.overwrite)
    _tell_plan(arguments, planned.content, planned.notes)
    return planned.content


def _tell_plan(arguments: argparse.Namespace, plan: Plan, notes: list[str]) -> None:
    from autobrats.planning.explain import explain, summarise

    for note in notes:
        print(note)
    print(explain(plan) if arguments.explain else summarise(plan), flush=True)


def _own_splits(arguments: argparse.Namespace, folder: DatasetFolder, dataset: Dataset) -> Splits | None:
    from autobrats.errors import UserError
    from autobrats.planning.replanning import own_splits

    patients = {case.name: case.patient for case in dataset.cases}
    splits, notes = own_splits(folder, patients, arguments.splits, arguments.overwrite)
    if splits is not None and arguments.split is not None:
        raise UserError(f"{notes[0]} So the cases cannot be divided by --split.")
    for note in notes:
        print(note)
    return splits


def _write_splits(
    arguments: argparse.Namespace, folder: DatasetFolder, dataset: Dataset, fingerprint: DatasetFingerprint, plan: Plan
) -> Splits:
    from autobrats.planning.replanning import write_splits

    patients = {case.name: case.patient for case in dataset.cases}
    strata = {case.name: _stratum(case, fingerprint.cases[case.name]) for case in dataset.cases}
    splits, notes = write_splits(folder, patients, strata, plan, arguments.split)
    for note in notes:
        print(note)
    return splits


def _stratum(case: Case, fingerprint: CaseFingerprint) -> str:
    """What the folds are stratified by: the grade, and which regions the case has."""
    present = [region for region, volume in fingerprint.region_ml.items() if volume > 0]
    return " ".join([case.clinical.get("grade", ""), *present])


def _preprocess(folder: DatasetFolder, dataset: Dataset, plan: Plan, workers: int) -> bool:
    """Store every case; False, told on stderr, if some could not be."""
    from autobrats.preprocessing.dataset import preprocess_dataset
    from autobrats.preprocessing.store import CaseStore
    from autobrats.reporting.progress_bar import ProgressBar

    with ProgressBar("Preprocessing") as on_progress:
        failures = preprocess_dataset(dataset, plan, CaseStore(folder.preprocessed), workers, on_progress)
    for failure in failures:
        print(f"Case {failure.case} could not be preprocessed: {failure.message}", file=sys.stderr)
    if failures:
        print("autobrats_plan: call it again when that is mended; it goes on where it stopped.", file=sys.stderr)
        return False
    print(f"Planned and preprocessed in {folder.path}.")
    return True


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
