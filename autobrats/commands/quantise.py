"""autobrats_quantise: let a model predict in bfloat16 or 8-bit integers, if that leaves its Dice as it is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, add_model_argument, chosen_model, count, new_parser, run

if TYPE_CHECKING:
    from autobrats.inference.precision import RoundedPrecision
    from autobrats.inference.rounding_file import Rounding

_EPILOG = """\
examples:
  autobrats_quantise                                check the model of the workspace's dataset in all that this CPU can
  autobrats_quantise --precision int8               check it in 8 bits only
  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS --precision bf16
                                                    then predict in bfloat16

Processors with units for bfloat16 (AMX, AVX-512 BF16) or for integer dot products (AVX-512 VNNI, AMX) compute in them
several times as fast as in float32. The cases that the model was trained on must be readable where autobrats_plan found
them: cases that a fold held back show what rounding changes, and training cases show which values every convolution sees,
which 8 bits need. The model folder gets bf16.json and int8.json.
"""


def new_quantise_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_quantise."""
    parser = new_parser(
        "autobrats_quantise",
        "Prepare a model for prediction in bfloat16 or 8 bits on CPUs, and check on held-back cases that Dice is unchanged.",
        _EPILOG,
    )
    add_model_argument(parser)
    parser.add_argument(
        "--precision",
        action="append",
        choices=("bf16", "int8"),
        help="what is checked; may be said twice (default: both, where the processor has instructions for bfloat16)",
    )
    parser.add_argument(
        "--cases",
        type=count,
        default=40,
        metavar="N",
        help="held-back cases to predict in float32 and in each precision, divided among the networks (default: 40)",
    )
    add_dataset_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code: 1 if a precision that was checked would change the model's Dice."""
    return run(new_quantise_parser(), _quantise, argv, goes_on=False)


def _quantise(arguments: argparse.Namespace) -> int:
    from autobrats.dataset.cases import Dataset
    from autobrats.ensembling.rounding_check import check_rounding
    from autobrats.errors import UserError
    from autobrats.files import read_model
    from autobrats.inference.model_folder import read_model_folder
    from autobrats.inference.rounding_file import FILES, write_rounding
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
    precisions: list[RoundedPrecision] = list(dict.fromkeys(arguments.precision or _all_of_this_processor()))
    with ProgressBar("predicting") as on_prediction:
        checked = check_rounding(model, dataset, splits, precisions, arguments.cases, on_prediction)
    for precision, rounding in checked.items():
        model = write_rounding(model, precision, rounding)
    _print_checks(checked)
    for precision in checked:
        print(f"Written: {model.path / FILES[precision]}")
    return 0 if all(rounding.check.passed for rounding in checked.values()) else 1


def _all_of_this_processor() -> list[RoundedPrecision]:
    from autobrats.inference.backends import openvino_computes_bfloat16, openvino_is_installed

    return ["bf16", "int8"] if openvino_is_installed() and openvino_computes_bfloat16() else ["int8"]


def _print_checks(checked: Mapping[RoundedPrecision, Rounding]) -> None:
    from autobrats.inference.precision import IN_WORDS
    from autobrats.inference.rounding_file import MOST_LOST
    from autobrats.reporting.tables import print_table

    first = next(iter(checked.values())).check
    figures = [("float32", first.dice_float32, first.seconds_float32)]
    figures += [
        (IN_WORDS[precision], it.check.dice_rounded, it.check.seconds_rounded) for precision, it in checked.items()
    ]
    print_table(
        ["", *first.dice_float32, "s a study"],
        [[name, *(f"{dice:.4f}" for dice in scores.values()), f"{seconds:.2f}"] for name, scores, seconds in figures],
        title=f"Dice of {first.predictions} held-back predictions ({first.patients} patients), one network each",
    )
    for precision, rounding in checked.items():
        check = rounding.check
        interval = "" if check.low is None else f" (95 % interval {check.low:+.4f} to {check.high:+.4f})"
        verdict = (
            f"unchanged: autobrats_predict --precision {precision} may be used"
            if check.passed
            else f"not shown to be within {MOST_LOST}: --precision {precision} is refused for this model"
        )
        print(f"{IN_WORDS[precision]}: the mean Dice changes by {check.difference:+.4f}{interval}, {verdict}.")
