"""autobrats_train: fit configurations of the plan, fold by fold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from autobrats.errors import UserError

if TYPE_CHECKING:
    import torch

    from autobrats.evaluation.metrics_file import Metrics
    from autobrats.training.campaign import Task
    from autobrats.training.cross_validation import CrossValidation
    from autobrats.training.progress_table import FoldRow
    from autobrats.workspace import DatasetFolder

_EPILOG = """\
examples:
  autobrats_train 3d_fullres --max-hours 5            the whole cross-validation in five hours
  autobrats_train 3d_fullres 0                        one fold
  autobrats_train 3d_fullres all                      one model on every case, without validation
  autobrats_train all --max-hours 40                  every configuration of the plan, every fold
  autobrats_train auto --max-hours 40                 the configurations race; the best are trained in every fold

Called again, a fold that was interrupted goes on where it stopped, and a finished one is left alone; so does the race.
With several GPUs, each trains a fold of its own. A fold that fails does not stop the others; the exit code is then 1.
Ctrl-C (or SIGTERM) ends the step, writes a checkpoint and leaves; a second Ctrl-C leaves at once.
"""


def new_train_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_train."""
    parser = new_parser("autobrats_train", "Train the plan's configurations, fold by fold.", _EPILOG)
    parser.add_argument(
        "configuration",
        metavar="CONFIGURATION",
        help="a configuration of the plan, usually 3d_fullres; 'all' of them; or 'auto' to let them race",
    )
    parser.add_argument(
        "folds",
        metavar="FOLD",
        nargs="*",
        help="0 to 4, several of them, or 'all' for one model on every case (default: every fold of the cross-validation)",
    )
    add_dataset_arguments(parser)
    parser.add_argument(
        "--max-hours",
        type=positive,
        metavar="H",
        help="hours for everything that this call trains, validation included; auto needs it",
    )
    parser.add_argument(
        "--epochs", type=count, metavar="N", help="train for N epochs instead of what the plan says; not with auto"
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget what these folds have learnt so far, and the race"
    )
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="folds that are trained at the same time (default: one on each GPU; one on a CPU)",
    )
    parser.add_argument(
        "--race-fold", metavar="FOLD", help="with auto: the fold whose validation cases decide the race (default: 0)"
    )
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="MODEL",
        help="start from the weights of another model (its folder, or a file weights.safetensors) where names and shapes fit; "
        "not with auto",
    )
    parser.add_argument(
        "--unlabelled",
        type=Path,
        metavar="FOLDER",
        help="studies without masks, in any layout, that students label for the training; several trainings a fold; not "
        "with auto",
    )
    parser.add_argument(
        "--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is, every GPU)"
    )
    parser.add_argument(
        "--workers",
        type=not_negative,
        default=1,
        metavar="N",
        help="threads that prepare batches ahead, in each training; 0 for none (default: 1)",
    )
    parser.add_argument("--seed", type=not_negative, metavar="S", help="instead of the plan's seed")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_train_parser(), _train, argv)


def _train(arguments: argparse.Namespace) -> int:
    is_auto = arguments.configuration == "auto"
    _check_options(arguments, is_auto)
    from autobrats.devices import choose_device, describe_device
    from autobrats.training.campaign import devices_of
    from autobrats.training.child_jobs import end_with_parent
    from autobrats.training.cross_validation import CrossValidation, TrainingOptions
    from autobrats.workspace import Workspace

    end_with_parent()
    folder = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    device = choose_device(arguments.device)
    devices = devices_of(device, arguments.jobs)
    what = {"all": "every configuration", "auto": "the best configurations"}.get(
        arguments.configuration, arguments.configuration
    )
    at_once = f", {len(devices)} folds at a time" if len(devices) > 1 else ""
    print(f"Training {what} of {folder.name} on {describe_device(device)}{at_once}.", flush=True)
    options = TrainingOptions(
        device=device,
        max_hours=arguments.max_hours,
        epochs=arguments.epochs,
        restart=arguments.restart,
        seed=arguments.seed,
        loading_threads=arguments.workers,
        pretrained=arguments.pretrained,
        unlabelled=arguments.unlabelled,
    )
    training = CrossValidation(folder, options)
    if is_auto:
        return _race(arguments, training, devices)
    names = list(training.plan.configurations) if arguments.configuration == "all" else [arguments.configuration]
    folds = list(dict.fromkeys(arguments.folds)) or _every_fold(training)
    return _train_folds(arguments, training, [(name, fold, None) for name in names for fold in folds], devices)


def _check_options(arguments: argparse.Namespace, is_auto: bool) -> None:
    """UserError for options that contradict each other."""
    if not is_auto:
        if arguments.race_fold is not None:
            raise UserError("--race-fold belongs to 'autobrats_train auto'.")
        return
    if arguments.max_hours is None:
        raise UserError("auto needs --max-hours H: the hours for the race and for all folds of the best together.")
    if arguments.folds:
        raise UserError(
            "auto trains every fold of the best; leave the folds out, and choose the race's with --race-fold."
        )
    for option, why in {
        "epochs": "the race gives every configuration the same time",
        "pretrained": "a race begins all alike, and the weights fit one of them",
        "unlabelled": "a race compares single trainings; train the best with it afterwards",
    }.items():
        if getattr(arguments, option) is not None:
            raise UserError(f"auto does not take --{option}: {why}.")


def _race(arguments: argparse.Namespace, training: CrossValidation, devices: Sequence[torch.device]) -> int:
    """Choose by a race, then train every fold of the finalists in the hours that are left."""
    from autobrats.training.cross_validation import CrossValidation
    from autobrats.training.shared_hours import SharedHours
    from autobrats.tuning.race import Race
    from autobrats.tuning.race_record import print_race

    names, folds = list(training.plan.configurations), _every_fold(training)
    if len(names) == 1:
        print(f"The plan has one configuration, {names[0]}: there is nothing to choose, and it is trained.", flush=True)
        return _train_folds(arguments, training, [(names[0], fold, None) for fold in folds], devices)
    hours = SharedHours(arguments.max_hours)
    race = Race(training, arguments.race_fold or "0", arguments.max_hours, len(devices))
    print(
        f"{len(names)} configurations race on fold {race.fold}; a fold has {race.record.fold_hours:.3g} hours.",
        flush=True,
    )
    if not race.run():
        print("The race is stopped.")
        return 130
    record = race.record
    print_race(record)
    if not record.finalists:
        print("Every configuration has failed; when the cause is mended, begin anew with --restart.", file=sys.stderr)
        return 1
    print(
        f"The validation patients of fold {record.fold} took part in this choice, so the fold does not count for the scores "
        "that are expected of the model.",
        flush=True,
    )
    finalists = [(name, fold) for name in record.finalists for fold in sorted(folds, key=lambda it: it != race.fold)]
    if arguments.restart:
        for name, fold in finalists:
            if fold != race.fold:
                training.run(name, fold).clear()
    after = CrossValidation(training.folder, replace(training.options, restart=False, max_hours=hours.left))
    tasks = [(name, fold, record.fold_hours if fold == race.fold else None) for name, fold in finalists]
    return _train_folds(arguments, after, tasks, devices)


def _train_folds(
    arguments: argparse.Namespace,
    training: CrossValidation,
    folds: Sequence[tuple[str, str, float | None]],
    devices: Sequence[torch.device],
) -> int:
    """Train configurations and folds within hours of their own or a share of all, and tell what became of them."""
    from autobrats.training.campaign import Campaign, Task

    tasks = [Task(*fold) for fold in folds]
    command = _child_command(arguments, training.folder, training.options.restart)
    campaign = Campaign(training, tasks, devices, command, arguments.debug)
    rows = campaign.run()
    if len(rows) > 1:
        campaign.table.print()
    states = {row.state for row in rows}
    if "stopped" in states:
        return 130
    _print_scores(training, rows)
    if "failed" in states:
        without = ", without --restart," if arguments.restart else ""
        failed = sum(row.state == "failed" for row in rows)
        print(f"{failed} of {len(rows)} folds failed; the same command{without} goes on with them.", file=sys.stderr)
        return 1
    print(" ".join(["Next: autobrats_find_best_config", *dataset_options(arguments)]))
    return 0


def _every_fold(training: CrossValidation) -> list[str]:
    if not training.folds:
        raise UserError(
            "This dataset has too few patients for a cross-validation; train fold 'all': autobrats_train CONFIGURATION all."
        )
    return training.folds


def _child_command(
    arguments: argparse.Namespace, folder: DatasetFolder, restart: bool
) -> Callable[[Task, torch.device, float | None], list[str]]:
    """The same command for one fold on one device."""

    def command(task: Task, device: torch.device, hours: float | None) -> list[str]:
        words = [sys.executable, "-m", "autobrats.commands.train", task.name, task.fold]
        words += ["-w", str(folder.path.parent), "-d", folder.name, "--device", str(device)]
        words += ["--workers", str(arguments.workers), "--jobs", "1"]
        given = {
            "--max-hours": None if hours is None else f"{max(hours, 1e-3):.6f}",
            "--epochs": arguments.epochs,
            "--seed": arguments.seed,
            "--pretrained": arguments.pretrained,
            "--unlabelled": arguments.unlabelled,
        }
        for option, value in given.items():
            words += [] if value is None else [option, str(value)]
        return words + (["--restart"] if restart else []) + (["--debug"] if arguments.debug else [])

    return command


def _print_scores(training: CrossValidation, rows: Sequence[FoldRow]) -> None:
    """Dice on the held-back cases: by fold of one configuration, by configuration of several."""
    from autobrats.evaluation.metrics_file import pool_metrics
    from autobrats.reporting.tables import print_scores, print_table

    scored: dict[str, dict[str, Metrics]] = {}
    for row in rows:
        metrics = training.metrics(row.name, row.fold) if row.state in ("finished", "was finished") else None
        if metrics is not None:
            scored.setdefault(row.name, {})[row.fold] = metrics
    if len(scored) > 1:
        pooled = {name: pool_metrics(folds.values()) for name, folds in scored.items()}
        print_scores(pooled, title="Scores on the held-back cases")
        return
    for name, folds in scored.items():
        regions = list(next(iter(folds.values())).summary)
        cells = []
        for fold, metrics in folds.items():
            dice = [f"{metrics.summary[region]['dice'].mean:.3f}" for region in regions]
            cells.append([fold, str(len(metrics.cases)), *dice, f"{metrics.mean_dice.mean:.3f}"])
        print_table(["fold", "cases", *regions, "mean"], cells, title=f"{name}: Dice on the held-back cases")


if __name__ == "__main__":
    sys.exit(main())
