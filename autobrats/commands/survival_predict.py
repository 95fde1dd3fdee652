"""autobrats_survival_predict: how long new patients are expected to live."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from autobrats.commands.running import add_dataset_arguments, new_parser, run
from autobrats.commands.survival_sources import (
    add_source_arguments,
    add_workers_argument,
    found_model,
    print_clinical,
    print_notes,
    print_some,
    refuse_outputs,
    sources_of,
)

_EPILOG = """\
examples:
  autobrats_survival_predict -i studies -s segmentations --clinical ages.csv -o survival.csv
  autobrats_survival_predict --features new.csv --clinical new_clinical.csv -o survival.csv

survival.csv has a row a patient: days with the interval that holds nine of ten, the class (short: less than 300 days,
long: more than 450), the probability of each class, and the risk (higher means sooner death).

exit code: 0 if every patient was predicted, 1 if any failed, 2 for wrong use.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = new_parser("autobrats_survival_predict", "Predict the survival of new patients.", _EPILOG)
    add_dataset_arguments(result)
    add_source_arguments(result)
    result.add_argument("-o", "--output", type=Path, required=True, metavar="CSV", help="the table to write")
    result.add_argument(
        "-m", "--model", type=Path, metavar="FOLDER", help="survival model (default: the dataset's, or the workspace's)"
    )
    result.add_argument(
        "--curves", type=Path, metavar="CSV", help="also the probability to be alive after 30, 60, ... days"
    )
    result.add_argument(
        "--explain", type=Path, metavar="CSV", help="also which features moved each patient's risk, and how far"
    )
    add_workers_argument(result)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of autobrats_survival_predict."""
    return run(parser(), survival_predict, argv, goes_on=False)


def survival_predict(arguments: argparse.Namespace) -> int:
    """Read the model and what is known of the patients, and write the table."""
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.survival.survival_predictor import SurvivalPredictor

    sources = sources_of(arguments, None)
    outputs = [arguments.output, arguments.curves, arguments.explain]
    refuse_outputs(outputs, [arguments.features, *arguments.clinical])
    folder = arguments.model or found_model(arguments)
    predictor = SurvivalPredictor.load(folder)
    with ProgressBar("features") as on_progress:
        inputs = predictor.read(sources, workers=arguments.workers, on_progress=on_progress)
    print_clinical(inputs)
    print_notes(inputs)
    predicted = predictor.predict(inputs)
    print_some(predicted.warnings)
    predicted.write(arguments.output)
    if arguments.curves is not None:
        predicted.write_curves(arguments.curves)
    if arguments.explain is not None:
        predicted.write_explanations(arguments.explain)
    print(f"model: {folder} ({predictor.model.describe()})")
    print(f"{len(predicted.predictions)} patients: {arguments.output}")
    return 1 if inputs.failures else 0
