"""What the survival commands have in common: where features and clinical data come from, and what was noticed about them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import not_negative

if TYPE_CHECKING:
    from autobrats.dataset.cases import Dataset
    from autobrats.survival.survival_inputs import Sources, SurvivalInputs


def add_source_arguments(result: argparse.ArgumentParser) -> None:
    """The options that say where features and clinical data come from."""
    result.add_argument("-i", "--input", type=Path, metavar="STUDIES", help="a folder of studies in any layout")
    result.add_argument(
        "-s",
        "--segmentations",
        type=Path,
        metavar="FOLDER",
        help="label maps, named like the studies (default: the studies' own)",
    )
    result.add_argument(
        "--features", type=Path, metavar="TABLE", help="a CSV of ready features, a row a patient, in place of images"
    )
    add_clinical_argument(
        result, "CSVs with age, survival and the like; the first leads (default: what came with the dataset)"
    )
    result.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="ROLE=HEADER[:UNIT]",
        help="which column of the clinical table is what, where its name says too little",
    )
    result.add_argument("--convention", metavar="NAME", help="of the label maps (default: detected)")


def add_clinical_argument(result: argparse.ArgumentParser, told: str) -> None:
    """Clinical tables, and what is told about them."""
    result.add_argument("--clinical", type=Path, nargs="+", default=[], metavar="TABLE", help=told)


def add_workers_argument(result: argparse.ArgumentParser) -> None:
    """How many processes."""
    result.add_argument(
        "--workers", type=not_negative, metavar="N", help="processes; 0 for none beside this one (default: one a core)"
    )


def sources_of(arguments: argparse.Namespace, dataset: Dataset | None) -> Sources:
    """Of the arguments of :func:`add_source_arguments`.

    Raises:
        UserError: if they contradict each other.
    """
    from autobrats.dataset.clinical.column_map import parse_column_map
    from autobrats.errors import UserError
    from autobrats.survival.survival_inputs import Sources

    if arguments.features is not None and (arguments.input or arguments.segmentations):
        raise UserError("Give either ready features (--features) or studies and segmentations (-i, -s), not both.")
    if arguments.convention and (arguments.features or dataset or not (arguments.input or arguments.segmentations)):
        raise UserError(
            "--convention is of the label maps in -s or -i; a planned dataset and a table have none to detect."
        )
    if arguments.columns and not arguments.clinical:
        raise UserError("--columns names columns of a clinical table; give the table with --clinical.")
    return Sources(
        features=arguments.features,
        studies=arguments.input,
        segmentations=arguments.segmentations,
        dataset=dataset,
        clinical=tuple(arguments.clinical),
        columns=parse_column_map(arguments.columns),
        convention=arguments.convention,
    )


def refuse_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """UserError, before any work, if a table cannot be written, or would take the place of one that is read.

    Args:
        outputs: files; None for those that were not asked for.
        inputs: files that must stay.
    """
    from autobrats.errors import UserError

    known = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file to write.")
        if path.resolve() in known:
            raise UserError(f"{path} would be overwritten or written twice; name another file.")
        refuse_unwritable(path.parent)
        known.add(path.resolve())


def refuse_unwritable(folder: Path) -> None:
    """UserError if nothing can be written into a folder, which may not exist yet; leaves nothing behind."""
    import tempfile

    from autobrats.errors import UserError

    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"Nothing can be written into {folder} ({error.strerror}); name another place.") from None


def found_model(arguments: argparse.Namespace, option: str = "-m") -> Path:
    """The survival model of the workspace: of the dataset that the user named, else the only one there is.

    Args:
        arguments: of :func:`autobrats.commands.running.add_dataset_arguments`.
        option: by which a user names a model.

    Raises:
        UserError: if there is none, or several.
    """
    from autobrats.errors import UserError
    from autobrats.survival.models.model_file import DESCRIPTION_FILE
    from autobrats.workspace import Workspace

    workspace = Workspace.locate(arguments.workspace)
    if arguments.dataset is not None:
        return workspace.dataset(arguments.dataset).survival
    folders = [*(workspace.dataset(name).survival for name in workspace.datasets()), workspace.survival]
    found = [folder for folder in folders if (folder / DESCRIPTION_FILE).is_file()]
    if not found:
        raise UserError(
            f"The workspace {workspace.path} holds no survival model; run autobrats_survival_train, or name one with {option}."
        )
    if len(found) > 1:
        raise UserError(f"There are several survival models; choose one with {option}: {', '.join(map(str, found))}.")
    return found[0]


def print_clinical(inputs: SurvivalInputs) -> None:
    """What was noticed about the clinical table."""
    from autobrats.dataset.clinical.clinical_table import REPORT_COLUMNS
    from autobrats.reporting.tables import print_table

    rows = [[str(cell) if cell is not None else "" for cell in row] for row in inputs.clinical.report_rows()]
    if rows:
        print_table(list(REPORT_COLUMNS), rows, title=inputs.clinical.title)


def print_some(notes: Sequence[str], most: int = 8) -> None:
    """The first of some sentences, on stderr."""
    for note in notes[:most]:
        print(f"    {note}", file=sys.stderr)
    if (more := len(notes) - most) > 0:
        print(f"    and {more} more like these", file=sys.stderr)


def print_notes(inputs: SurvivalInputs) -> None:
    """Notes on features, and cases without any, on stderr."""
    print_some(inputs.notes)
    for case, why in inputs.failures.items():
        print(f"{case}: left out: {why}", file=sys.stderr)
