"""autobrats_find_best_config: compare what was trained, and make a model of the best."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, dataset_options, new_parser, positive, run
from autobrats.commands.trained import add_tuning_arguments, print_tuning, read_trained, shown_path, tuning_options

if TYPE_CHECKING:
    from autobrats.ensembling.candidates import Candidate
    from autobrats.ensembling.model_search import ModelChoice

WORST_SHOWN = 5
ENSEMBLES_SHOWN = 8

_EPILOG = """\
examples:
  autobrats_find_best_config                        compare everything that is trained, alone and averaged, and tune
                                                    the postprocessing of the best
  autobrats_find_best_config 3d_fullres             make a model of this configuration
  autobrats_find_best_config --max-seconds-per-case 20
                                                    the best model that predicts a study in 20 seconds on this machine
  autobrats_find_best_config --trials 0             without tuning
  autobrats_find_best_config 3d_fullres 3d_fullres_tweedy2021 --together
                                                    average the networks of both, whatever their scores

Scores are out of fold: every case was predicted by a model that was not trained on its patient. What is expected of the
choice is nested: every patient is judged by choices that were made without it.
The model folder that is written is complete by itself; copy it wherever you want to predict.
"""


def new_find_best_config_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_find_best_config."""
    parser = new_parser(
        "autobrats_find_best_config",
        "Compare what was trained, alone and in ensembles, tune the postprocessing, and write the best as a model folder.",
        _EPILOG,
    )
    parser.add_argument(
        "configurations", metavar="CONFIGURATION", nargs="*", help="compare only these (default: all of the plan)"
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="average the configurations named (all of their finished folds) into one model, whatever their scores",
    )
    parser.add_argument(
        "--max-seconds-per-case",
        type=positive,
        metavar="S",
        help="only models that predict a study of the middle size in S seconds on this machine",
    )
    add_dataset_arguments(parser)
    add_tuning_arguments(parser, trials=200, max_hours=0.5)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_find_best_config_parser(), _find_best_config, argv)


def _find_best_config(arguments: argparse.Namespace) -> int:
    from autobrats.ensembling.best_config import write_best_config
    from autobrats.ensembling.model_search import ModelSearch, ModelSearchOptions
    from autobrats.ensembling.report import write_model_report
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.reporting.score_tables import print_worst_cases
    from autobrats.tuning.race_record import race_fold
    from autobrats.tuning.tables import write_tuning_files

    trained = read_trained(arguments)
    options = ModelSearchOptions(
        together=arguments.together,
        tuning=tuning_options(arguments),
        max_seconds_per_case=arguments.max_seconds_per_case,
        race_fold=race_fold(trained.folder.race_file),
        device=arguments.device,
    )
    search = ModelSearch(trained.folder, trained.dataset, trained.plan, trained.candidates, options, ProgressBar)
    choice = search.run()
    path = write_best_config(trained.folder, choice, trained.candidates)
    write_tuning_files(trained.folder.tuning / "postprocessing", choice.tuning, choice.postprocessing)

    _print_comparison(choice)
    _print_ensembles(choice)
    print_tuning(choice.tuning)
    if choice.expected is not None:
        print()
        print_worst_cases(choice.expected, WORST_SHOWN)
    _print_missing(trained.all_candidates, choice, " ".join(dataset_options(arguments)))
    for note in [*choice.notes, *trained.notes]:
        print(f"Note: {note}")
    _print_choice(choice, trained.candidates)
    print(f"\nThe model is complete in {shown_path(path)}. Segment new studies with:")
    print(f"  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m {shlex.quote(shown_path(path))}")
    if choice.expected is not None:
        report = write_model_report(trained.folder, trained.dataset, trained.plan, choice)
        print(f"Report: {shown_path(report)}")
    return 0


def _print_comparison(choice: ModelChoice) -> None:
    from autobrats.reporting.tables import print_scores

    if choice.compared:
        print_scores(choice.compared, title="Out-of-fold scores (mean, 95 % interval by patient)")
    for difference in choice.differences:
        if difference.low is None:
            continue
        clear = "" if difference.is_clear else "; that may be chance"
        place = "ahead of" if difference.mean >= 0 else "behind"
        print(
            f"{choice.mixture.label} is {place} {difference.other} by {abs(difference.mean):.4f} in mean Dice "
            f"(95 % interval of the difference {difference.low:.4f} to {difference.high:.4f}{clear})."
        )


def _print_ensembles(choice: ModelChoice) -> None:
    from autobrats.reporting.tables import print_table

    costs = choice.costs
    if len(choice.steps) < 2 or costs is None:
        return
    rows = []
    for step in choice.steps[:ENSEMBLES_SHOWN]:
        one, cost = costs.of(step.mixture, 1), costs.of(step.mixture)
        seconds = (f"{it.seconds_per_case:.2f}" for it in (one, cost))
        rows.append([f"{step.dice:.4f}", *seconds, f"{cost.memory_gib:.2f}", step.mixture.label])
    print()
    print_table(
        ["mean Dice", "s a case, one fold", "all folds", "GiB", "ensemble"],
        rows,
        title="Score against cost (out of fold, not nested; --max-seconds-per-case chooses a cheaper one)",
    )


def _print_missing(candidates: Sequence[Candidate], choice: ModelChoice, options: str) -> None:
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
        if candidate.configuration in choice.mixture.configurations and candidate.weights:
            state += (
                " (the model works without, but an average over more folds is usually better, and its scores surer)"
            )
        print(f"{candidate.configuration}: {state}; train with:\n  {command}")


def _print_choice(choice: ModelChoice, candidates: Sequence[Candidate]) -> None:
    from autobrats.reporting.tables import fold_list, with_interval

    members = []
    for name in choice.mixture.configurations:
        folds = [network.fold for network in choice.networks if network.configuration == name]
        members.append(f"{name} fold{'s' * (len(folds) > 1)} {fold_list(folds)}")
    print(f"\nChosen: {choice.mixture.label} ({'; '.join(members)}).")
    if choice.cost is not None:
        cost, count = choice.cost, len(choice.networks)
        print(
            f"Cost: {cost.seconds_per_case:.2g} s and {cost.memory_gib:.2g} GiB a study of the middle size on {cost.device} "
            f"({count} network{'s' * (count > 1)})."
        )
    expected = choice.expected
    if expected is None:
        return
    scores = ", ".join(f"{region} {with_interval(metrics['dice'])}" for region, metrics in expected.summary.items())
    has_chosen = choice.is_nested and (len(choice.compared) > 1 or choice.tuning is not None)
    nested = ", nested over the choice" if has_chosen else ""
    print(f"Expected Dice on new patients like these{nested}: {scores}; mean {with_interval(expected.mean_dice)}.")
    single = next((of for of in candidates if [of.configuration] == choice.mixture.configurations), None)
    missing = None if single is None else single.missing_modality_dice
    if missing:
        complete = missing["complete"]
        losses = ", ".join(f"{key} {value - complete:+.3f}" for key, value in missing.items() if key != "complete")
        print(f"Mean Dice changes when a modality is missing: {losses} (from {complete:.3f}).")
