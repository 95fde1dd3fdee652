"""autobrats_train: fit one configuration on one or more folds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
    from autobrats.training.cross_validation import FoldResult

_EPILOG = """\
examples:
  autobrats_train 3d_fullres 0                        one fold
  autobrats_train 3d_fullres 0 1 2 3 4 --max-hours 5  the whole cross-validation in five hours
  autobrats_train 3d_fullres all                      one model on every case, without validation

Called again, a fold that was interrupted goes on where it stopped, and a finished one is left alone.
Ctrl-C (or SIGTERM) ends the step, writes a checkpoint and leaves; a second Ctrl-C leaves at once.
"""


def new_train_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_train."""
    parser = new_parser("autobrats_train", "Train a configuration of the plan, fold by fold.", _EPILOG)
    parser.add_argument(
        "configuration", metavar="CONFIGURATION", help="a configuration of the plan, usually 3d_fullres"
    )
    parser.add_argument(
        "folds", metavar="FOLD", nargs="+", help="0 to 4, several of them, or 'all' for every case at once"
    )
    add_dataset_arguments(parser)
    parser.add_argument(
        "--max-hours", type=positive, metavar="H", help="hours for all folds of this call together, validation included"
    )
    parser.add_argument("--epochs", type=count, metavar="N", help="train for N epochs instead of what the plan says")
    parser.add_argument("--restart", action="store_true", help="forget what these folds have learnt so far")
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="MODEL",
        help="start from the weights of another model (its folder, or a file weights.safetensors) where names and shapes fit",
    )
    parser.add_argument(
        "--unlabelled",
        type=Path,
        metavar="FOLDER",
        help="studies without masks, in any layout, that students label for the training; several trainings a fold",
    )
    parser.add_argument("--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is)")
    parser.add_argument(
        "--workers",
        type=not_negative,
        default=1,
        metavar="N",
        help="threads that prepare batches ahead; 0 for none (default: 1)",
    )
    parser.add_argument("--seed", type=not_negative, metavar="S", help="instead of the plan's seed")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_train_parser(), _train, argv)


def _train(arguments: argparse.Namespace) -> int:
    from autobrats.devices import choose_device, describe_device
    from autobrats.training.cross_validation import TrainingOptions, train_folds
    from autobrats.workspace import Workspace

    folder = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    device = choose_device(arguments.device)
    print(f"Training {arguments.configuration} of {folder.name} on {describe_device(device)}.", flush=True)
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
    results = train_folds(folder, arguments.configuration, arguments.folds, options, _print_fold)
    if results[-1].state == "stopped":
        return 130
    _print_table(arguments.configuration, results)
    print(" ".join(["Next: autobrats_find_best_config", *dataset_options(arguments)]))
    return 0


def _print_fold(result: FoldResult) -> None:
    if result.state == "stopped":
        print(f"Fold {result.fold} is stopped.")
    elif result.state == "was finished":
        print(f"Fold {result.fold} was finished already (--restart trains it anew).")
    else:
        print(f"Fold {result.fold} finished in {result.seconds:.0f} s.", flush=True)


def _print_table(configuration: str, results: list[FoldResult]) -> None:
    from autobrats.reporting.tables import print_table

    scored = [result for result in results if result.metrics is not None]
    if not scored:
        return
    regions = list(scored[0].metrics.summary)  # type: ignore[union-attr]
    rows = []
    for result in scored:
        metrics = result.metrics
        assert metrics is not None
        dice = [f"{metrics.summary[region]['dice'].mean:.3f}" for region in regions]
        rows.append([result.fold, str(len(metrics.cases)), *dice, f"{metrics.mean_dice.mean:.3f}"])
    print_table(["fold", "cases", *regions, "mean"], rows, title=f"{configuration}: Dice on the held-back cases")
