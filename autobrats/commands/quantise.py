"""autobrats_quantise: let a model predict in 8-bit integers, if that leaves its Dice as it is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, add_model_argument, chosen_model, count, new_parser, run

if TYPE_CHECKING:
    from autobrats.inference.int8_file import Int8Check

_EPILOG = """\
examples:
  autobrats_quantise                                check the model of the workspace's dataset
  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS --precision int8
                                                    then predict in 8 bits

On processors with integer dot products (AVX-512 VNNI, AMX) 8 bits are about twice as fast as float32. The cases that
the model was trained on must be readable where autobrats_plan found them: training cases show which values every
convolution sees, and cases that a fold held back show what rounding them changes. The model folder gets int8.json.
"""


def new_quantise_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_quantise."""
    parser = new_parser(
        "autobrats_quantise",
        "Prepare a model for prediction in 8-bit integers on CPUs, and check on held-back cases that Dice is unchanged.",
        _EPILOG,
    )
    add_model_argument(parser)
    parser.add_argument(
        "--cases",
        type=count,
        default=40,
        metavar="N",
        help="held-back cases to predict in float32 and in 8 bits, divided among the networks (default: 40)",
    )
    add_dataset_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code: 1 if 8 bits would change the model's Dice."""
    return run(new_quantise_parser(), _quantise, argv, goes_on=False)


def _quantise(arguments: argparse.Namespace) -> int:
    from autobrats.dataset.cases import Dataset
    from autobrats.ensembling.int8_check import check_int8
    from autobrats.errors import UserError
    from autobrats.files import read_model
    from autobrats.inference.int8_file import write_int8
    from autobrats.inference.model_folder import read_model_folder
    from autobrats.planning.splits import read_splits
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.workspace import Workspace

    model = read_model_folder(chosen_model(arguments))
    folder = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    if model.best_config.dataset != folder.name:
        raise UserError(
            f"The model {model.path} was trained on the dataset {model.best_config.dataset}, not on {folder.name}; "
            "say which dataset with -d, or run this where its cases are."
        )
    dataset = read_model(folder.dataset_file, Dataset)
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
    with ProgressBar("predicting") as on_prediction:
        int8 = check_int8(model, dataset, splits, arguments.cases, on_prediction)
    path = write_int8(model, int8)
    _print_check(int8.check)
    print(f"Written: {path}")
    return 0 if int8.check.passed else 1


def _print_check(check: Int8Check) -> None:
    from autobrats.inference.int8_file import MOST_LOST
    from autobrats.reporting.tables import print_table

    rows = [
        [name, *(f"{dice:.4f}" for dice in scores.values()), f"{seconds:.2f}"]
        for name, scores, seconds in (
            ("float32", check.dice_float32, check.seconds_float32),
            ("8 bits", check.dice_int8, check.seconds_int8),
        )
    ]
    print_table(
        ["", *check.dice_float32, "s a study"],
        rows,
        title=f"Dice of {check.predictions} held-back predictions ({check.patients} patients), one network each",
    )
    interval = "" if check.low is None else f" (95 % interval {check.low:+.4f} to {check.high:+.4f})"
    verdict = (
        "unchanged: autobrats_predict --precision int8 may be used"
        if check.passed
        else f"not shown to be within {MOST_LOST}: --precision int8 is refused for this model"
    )
    print(f"8 bits change the mean Dice by {check.difference:+.4f}{interval}: {verdict}.")
