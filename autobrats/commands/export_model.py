"""autobrats_export: pack a model folder into one file that another machine can import, or write it as ONNX."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, add_model_argument, chosen_model, new_parser, run
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.inference.model_folder import ModelFolder

_EPILOG = """\
examples:
  autobrats_export -o glioma.zip                    the model of the workspace's dataset
  autobrats_export MODEL_FOLDER -o glioma.zip       any model folder
  autobrats_export -o glioma.zip --with-cases       with the scores of every case, by its name
  autobrats_export --onnx -o glioma_onnx            networks for other programs, and what surrounds them

The names of your cases and patients do not leave unless you say --with-cases.
On the other machine: autobrats_import glioma.zip
"""


def new_export_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_export."""
    parser = new_parser(
        "autobrats_export",
        "Pack a model into one zip file, for autobrats_import on another machine; or write its networks as ONNX.",
        _EPILOG,
    )
    add_model_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="where to write: FILE.zip, or a folder with --onnx",
    )
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="one .onnx file a network, all that is done around them in preprocessing.json, and check.py, which proves that "
        "they give torch's logits",
    )
    parser.add_argument(
        "--with-cases",
        action="store_true",
        help="also metrics.json: the scores of every training case, by the names of case and patient (default: without)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    add_dataset_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_export_parser(), _export, argv, goes_on=False)


def _export(arguments: argparse.Namespace) -> int:
    return _export_onnx(arguments) if arguments.onnx else _export_archive(arguments)


def _export_onnx(arguments: argparse.Namespace) -> int:
    from autobrats.inference.onnx_export import export_onnx

    if arguments.with_cases:
        raise UserError("--with-cases goes with FILE.zip; an ONNX export holds no scores.")
    _, differences = export_onnx(chosen_model(arguments), arguments.output, replace=arguments.force)
    for file, difference in differences.items():
        print(f"{file}: torch's logits up to {difference:.1e} of the largest")
    print(f"{arguments.output}: what to do before and after is in preprocessing.json; check.py repeats the comparison.")
    return 0


def _export_archive(arguments: argparse.Namespace) -> int:
    from autobrats.inference.model_archive import export_model, needed_packages

    archive = arguments.output
    model = export_model(chosen_model(arguments), archive, with_cases=arguments.with_cases, replace=arguments.force)
    members = model.best_config.members
    print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB, dataset name '{model.best_config.dataset}'")
    print(
        f"{len(members)} network{'s'[: len(members) != 1]}: "
        + ", ".join(f"{m.configuration} fold {m.fold}" for m in members)
    )
    _say_what_of_the_cases(model, arguments.with_cases)
    for package, parts in needed_packages(model).items():
        print(f"The other machine also needs the package {package}, which is not inside: {', '.join(parts)}.")
    print(f"On the other machine:\n  autobrats_import {shlex.quote(archive.name)}")
    return 0


def _say_what_of_the_cases(model: ModelFolder, with_cases: bool) -> None:
    from autobrats.inference.model_folder import METRICS

    if METRICS not in model.best_config.sha256:
        return
    if with_cases:
        print("Inside are the names and scores of all training cases and patients (metrics.json).")
    else:
        print(
            "Left out: the scores case by case, with the names of cases and patients (metrics.json); --with-cases adds them."
        )
