"""autobrats_find_best_config: compare what was trained, and make a model of the best."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, dataset_options, new_parser, run

if TYPE_CHECKING:
    from autobrats.ensembling.candidates import Candidate
    from autobrats.ensembling.selection import Selection
    from autobrats.evaluation.metrics_file import Metrics

WORST_SHOWN = 5

_EPILOG = """\
examples:
  autobrats_find_best_config                        compare everything that is trained
  autobrats_find_best_config 3d_fullres             make a model of this configuration
  autobrats_find_best_config 3d_fullres 3d_fullres_tweedy2021 --together
                                                    average the networks of both

Scores are out of fold: every case was predicted by a model that was not trained on its patient.
The model folder that is written is complete by itself; copy it wherever you want to predict.
"""


def new_find_best_config_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_find_best_config."""
    parser = new_parser(
        "autobrats_find_best_config",
        "Compare the trained configurations by their out-of-fold scores and write the best as a model folder.",
        _EPILOG,
    )
    parser.add_argument(
        "configurations", metavar="CONFIGURATION", nargs="*", help="compare only these (default: all of the plan)"
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="average the configurations named (all of their finished folds) into one model, and compare it with each",
    )
    add_dataset_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_find_best_config_parser(), _find_best_config, argv)


def _find_best_config(arguments: argparse.Namespace) -> int:
    from autobrats.dataset.cases import Dataset
    from autobrats.ensembling.averaging import average_candidates
    from autobrats.ensembling.best_config import write_best_config
    from autobrats.ensembling.candidates import collect_candidates, train_command
    from autobrats.ensembling.selection import select_best
    from autobrats.errors import UserError
    from autobrats.files import read_model
    from autobrats.plan import Plan
    from autobrats.planning.splits import read_splits
    from autobrats.workspace import Workspace

    workspace = Workspace.locate(arguments.workspace)
    folder = workspace.dataset(arguments.dataset)
    plan = read_model(folder.plan_file, Plan)
    dataset = read_model(folder.dataset_file, Dataset)
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
    candidates = collect_candidates(folder, plan, len(splits.folds), arguments.configurations)
    options = " ".join(dataset_options(arguments))

    trained = [candidate for candidate in candidates if candidate.is_trained]
    notes = [note for candidate in candidates for note in candidate.notes]
    if not trained:
        first = candidates[0]
        command = train_command(first.configuration, first.missing or ["all"], options)
        raise UserError(" ".join([f"No fold of {_either(candidates)} is finished yet; train with: {command}", *notes]))
    wanted = None
    if arguments.together:
        averaged = average_candidates(folder, dataset, plan, _named(arguments, candidates))
        trained, wanted = [*trained, averaged], averaged.configuration
    selection = select_best(trained, wanted=wanted)
    path = write_best_config(folder, plan, selection)

    _print_comparison(selection)
    _print_worst(selection.best.metrics)
    _print_missing(candidates, selection.best, options)
    for note in [*selection.notes, *notes]:
        print(f"Note: {note}")
    _print_choice(selection)
    print(f"\nThe model is complete in {_shown(path)}. Segment new studies with:")
    print(f"  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m {shlex.quote(_shown(path))}")
    return 0


def _named(arguments: argparse.Namespace, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that the user named; all that are trained if none was."""
    if not arguments.configurations:
        return [candidate for candidate in candidates if candidate.is_trained]
    return [candidate for candidate in candidates if candidate.configuration in arguments.configurations]


def _print_comparison(selection: Selection) -> None:
    from autobrats.reporting.tables import print_scores

    if selection.compared:
        print_scores(selection.compared, title="Out-of-fold scores (mean, 95 % interval by patient)")
    for difference in selection.differences:
        if difference.low is None:
            continue
        clear = "" if difference.is_clear else "; that may be chance"
        place = "ahead of" if difference.mean >= 0 else "behind"
        print(
            f"{selection.best.configuration} is {place} {difference.other} by {abs(difference.mean):.4f} in mean Dice "
            f"(95 % interval of the difference {difference.low:.4f} to {difference.high:.4f}{clear})."
        )


def _print_worst(metrics: Metrics | None) -> None:
    from autobrats.reporting.score_tables import worst_cases
    from autobrats.reporting.tables import print_table

    if metrics is None:
        return
    worst = worst_cases(metrics, WORST_SHOWN)
    columns = list(worst[0].dice) if worst else []
    rows = [[poor.case, *(f"{poor.dice[column]:.3f}" for column in columns), poor.reason] for poor in worst]
    print_table(["case", *columns, "reason"], rows, title="The worst cases, by Dice")


def _print_missing(candidates: Sequence[Candidate], best: Candidate, options: str) -> None:
    """What is not trained yet; in a dataset without folds nothing is missing once ``all`` is trained."""
    for candidate in candidates:
        command = candidate.train_command(options)
        if command is None:
            continue
        folds = ", ".join(map(str, candidate.missing))
        if not candidate.weights:
            state = "no fold is finished"
        elif len(candidate.missing) == 1:
            state = f"fold {folds} is missing"
        else:
            state = f"folds {folds} are missing"
        if candidate is best and candidate.weights:
            state += (
                " (the model works without, but an average over more folds is usually better, and its scores surer)"
            )
        print(f"{candidate.configuration}: {state}; train with:\n  {command}")


def _print_choice(selection: Selection) -> None:
    from autobrats.reporting.tables import fold_list, with_interval

    best = selection.best
    folds = list(dict.fromkeys(network.fold for network in best.networks))
    members = f"fold{'s' * (len(folds) > 1)} {fold_list(folds)}{' of each' if best.parts else ''}"
    print(f"\nChosen: {best.configuration}, {members}.")
    expected = selection.expected
    if expected is None:
        return
    scores = ", ".join(f"{region} {with_interval(metrics['dice'])}" for region, metrics in expected.summary.items())
    nested = ", nested over the choice" if len(selection.compared) > 1 else ""
    print(f"Expected Dice on new patients like these{nested}: {scores}; mean {with_interval(expected.mean_dice)}.")
    missing = best.missing_modality_dice
    if missing:
        complete = missing["complete"]
        losses = ", ".join(f"{key} {value - complete:+.3f}" for key, value in missing.items() if key != "complete")
        print(f"Mean Dice changes when a modality is missing: {losses} (from {complete:.3f}).")


def _either(candidates: Sequence[Candidate]) -> str:
    return " or ".join(candidate.configuration for candidate in candidates)


def _shown(path: Path) -> str:
    """Relative to where the user is, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
