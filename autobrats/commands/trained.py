"""What the commands that choose and tune have in common: what was trained, the options of a search, and its outcome."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import at_least_two, dataset_options, not_negative, positive

if TYPE_CHECKING:
    from autobrats.dataset.cases import Dataset
    from autobrats.ensembling.candidates import Candidate
    from autobrats.plan import Plan
    from autobrats.tuning.postprocessing_tuning import PostprocessingResult, TuningOptions
    from autobrats.workspace import DatasetFolder

TRIALS_SHOWN = 5


@dataclass(frozen=True)
class Trained:
    """What was trained of a dataset: ``candidates`` have weights, ``all_candidates`` are those that were asked for."""

    folder: DatasetFolder
    dataset: Dataset
    plan: Plan
    candidates: list[Candidate]
    all_candidates: list[Candidate]

    @property
    def notes(self) -> list[str]:
        """Sentences about runs that cannot be used."""
        return [note for candidate in self.all_candidates for note in candidate.notes]


def read_trained(arguments: argparse.Namespace) -> Trained:
    """The trained configurations of the dataset, or those named by ``arguments.configurations``.

    Raises:
        UserError: if none is trained.
    """
    from autobrats.dataset.cases import Dataset
    from autobrats.ensembling.candidates import collect_candidates, train_command
    from autobrats.errors import UserError
    from autobrats.files import read_model
    from autobrats.plan import Plan
    from autobrats.planning.splits import read_splits
    from autobrats.workspace import Workspace

    folder = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    plan = read_model(folder.plan_file, Plan)
    dataset = read_model(folder.dataset_file, Dataset)
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
    candidates = collect_candidates(folder, plan, len(splits.folds), arguments.configurations)
    found = Trained(folder, dataset, plan, [of for of in candidates if of.is_trained], candidates)
    if not found.candidates:
        first = candidates[0]
        options = " ".join(dataset_options(arguments))
        command = train_command(first.configuration, first.missing or ["all"], options)
        either = " or ".join(candidate.configuration for candidate in candidates)
        raise UserError(" ".join([f"No fold of {either} is finished yet; train with: {command}", *found.notes]))
    return found


def add_tuning_arguments(parser: argparse.ArgumentParser, *, trials: int, max_hours: float | None) -> None:
    """The options of a search for postprocessing."""
    hours = "no limit" if max_hours is None else f"{max_hours:g}"
    parser.add_argument(
        "--trials",
        type=not_negative,
        default=trials,
        metavar="N",
        help=f"of the search for postprocessing, those of earlier calls included; 0 for no tuning (default: {trials})",
    )
    parser.add_argument(
        "--max-hours", type=positive, default=max_hours, metavar="H", help=f"for the searches (default: {hours})"
    )
    parser.add_argument(
        "--objective",
        choices=["ranks", "dice", "hd95"],
        default="ranks",
        help="what is tuned for, in the mean over regions (default: ranks, a blend of Dice and HD95)",
    )
    parser.add_argument(
        "--pareto", action="store_true", help="search Dice and HD95 as two objectives, and show the front between them"
    )
    parser.add_argument(
        "--groups",
        type=at_least_two,
        default=5,
        metavar="K",
        help="of patients; each is judged by what was chosen without it (default: 5)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, metavar="S", help="of the groups and of the search (default: 0)"
    )
    parser.add_argument(
        "--workers", type=not_negative, metavar="N", help="processes; 0 for none beside this one (default: one a core)"
    )
    parser.add_argument("--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is)")


def tuning_options(arguments: argparse.Namespace) -> TuningOptions:
    """Of the arguments of :func:`add_tuning_arguments`."""
    from autobrats.tuning.postprocessing_tuning import TuningOptions

    return TuningOptions(
        trials=arguments.trials,
        max_hours=arguments.max_hours,
        objective=arguments.objective,
        pareto=arguments.pareto,
        groups=arguments.groups,
        seed=arguments.seed,
        workers=arguments.workers,
    )


def print_tuning(result: PostprocessingResult | None, shown: int = TRIALS_SHOWN) -> None:
    """The best trials (and the front, if there were two objectives), the gain by region, and what became of it."""
    from autobrats.reporting.tables import print_table
    from autobrats.tuning.tables import shown_params

    if result is None:
        return
    trials = result.search.trials
    best = sorted(trials, key=lambda trial: (-trial.objective, trial.number))[:shown]
    front = (
        sorted((trial for trial in trials if trial.on_front), key=lambda trial: -trial.dice) if result.pareto else []
    )
    headings = ["trial", "objective", "mean Dice", "mean HD95 mm", "postprocessing"]
    tables = [
        (
            f"The best of {len(trials)} trials and the default (on all cases, not nested)",
            [*best, *_default(trials, best)],
        ),
        ("The Pareto front of Dice and HD95 (on all cases, not nested)", front),
    ]
    for title, listed in tables:
        rows = [
            [it.number, f"{it.objective:.4f}", f"{it.dice:.4f}", f"{it.hd95:.2f}", shown_params(it.params)]
            for it in listed
        ]
        if rows:
            print()
            print_table(headings, rows, title=title)
    gain = result.gain
    print()
    print_table(
        ["region", "Dice before", "after", "HD95 mm before", "after"],
        [
            [
                region,
                f"{gain.default_dice[region]:.4f}",
                f"{gain.chosen_dice[region]:.4f}",
                f"{gain.default_hd95[region]:.2f}",
                f"{gain.chosen_hd95[region]:.2f}",
            ]
            for region in gain.default_dice
        ],
        title="Tuned postprocessing, judged on patients that its choice did not see",
    )
    if result.search.importances:
        told = sorted(result.search.importances.items(), key=lambda item: -item[1])[:shown]
        print("What mattered most: " + ", ".join(f"{name} {value:.2f}" for name, value in told) + ".")
    print(result.sentence)


def shown_path(path: Path) -> str:
    """Relative to where the user is, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _default(trials: list, best: list) -> list:
    return [trial for trial in trials[:1] if trial not in best]
