"""autobrats_tune: search for postprocessing or for hard-mining thresholds, and say honestly what it gains."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import add_dataset_arguments, dataset_options, new_parser, run
from autobrats.commands.trained import (
    add_tuning_arguments,
    print_tuning,
    read_trained,
    shown_path,
    tuning_options,
)

if TYPE_CHECKING:
    from autobrats.tuning.hard_mining_result import HardMiningResult
    from autobrats.tuning.hard_mining_search import TrialNews

SHOWN = 10

_EPILOG = """\
examples:
  autobrats_tune                                  search longer for the postprocessing of the best ensemble
  autobrats_tune 3d_fullres --trials 1000         of this configuration
  autobrats_tune 3d_fullres --objective dice      for the mean Dice alone
  autobrats_tune --hard-mining 3d_fullres_anand2020 --trials 30 --max-hours 2
                                                  thresholds, rounds and rate of hard mining, by short fine-tunings
  autobrats_tune -p PREDICTIONS -r REFERENCES -o FOLDER
                                                  postprocessing for label maps that anybody predicted

Trial 0 is always what there is without tuning, and wins ties. What is tuned is judged on patients that took no part in the
choice; what does not help beyond its 95 % interval is not applied. Studies lie in the workspace: called again, the command
goes on where it stopped, and several processes or machines may work on one study. autobrats_find_best_config takes up the
trials that are there.
"""


def new_tune_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_tune."""
    parser = new_parser("autobrats_tune", "Tune postprocessing or hard mining on out-of-fold predictions.", _EPILOG)
    parser.add_argument(
        "configurations",
        metavar="CONFIGURATION",
        nargs="*",
        help="whose out-of-fold predictions; of several, the best ensemble of them (default: all that are trained)",
    )
    parser.add_argument(
        "--hard-mining", metavar="CONFIGURATION", help="tune the hard mining of this configuration instead"
    )
    parser.add_argument("-p", "--predictions", type=Path, metavar="FOLDER", help="label maps to tune for")
    parser.add_argument("-r", "--references", type=Path, metavar="FOLDER", help="what they should have been")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="where the study of -p and -r and its results are written"
    )
    parser.add_argument("--convention", metavar="NAME", help="of the label maps of -p and -r (default: detected)")
    add_dataset_arguments(parser)
    add_tuning_arguments(parser, trials=500, max_hours=None)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_tune_parser(), _tune, argv)


def _tune(arguments: argparse.Namespace) -> int:
    from autobrats.errors import UserError

    if arguments.trials == 0:
        raise UserError("--trials must be at least 1.")
    if arguments.predictions or arguments.references:
        if not (arguments.predictions and arguments.references and arguments.output):
            raise UserError("Label maps are tuned with -p PREDICTIONS, -r REFERENCES and -o FOLDER together.")
        if arguments.hard_mining or arguments.configurations:
            raise UserError("Give either configurations of the workspace, or label maps with -p and -r.")
        return _tune_label_maps(arguments)
    if arguments.output or arguments.convention:
        raise UserError("-o and --convention belong to label maps, with -p and -r.")
    if arguments.hard_mining:
        if arguments.configurations:
            raise UserError("--hard-mining names its configuration itself; leave the others out.")
        return _tune_hard_mining(arguments)
    return _tune_ensemble(arguments)


def _tune_ensemble(arguments: argparse.Namespace) -> int:
    from autobrats.ensembling.model_search import ModelSearch, ModelSearchOptions
    from autobrats.errors import UserError
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.tuning.tables import write_tuning_files

    trained = read_trained(arguments)
    options = ModelSearchOptions(tuning=tuning_options(arguments), device=arguments.device)
    search = ModelSearch(trained.folder, trained.dataset, trained.plan, trained.candidates, options, ProgressBar)
    choice = search.run()
    print(f"Tuned for {choice.mixture.label}.")
    print_tuning(choice.tuning, SHOWN)
    for note in choice.notes:
        print(f"Note: {note}")
    if choice.tuning is None:
        raise UserError("There was nothing to tune on; see the notes above.")
    folder = trained.folder.tuning / "postprocessing"
    write_tuning_files(folder, choice.tuning, choice.postprocessing)
    print(f"All trials: {shown_path(folder / 'trials.csv')}")
    told = [*arguments.configurations, *_study_options(arguments), *dataset_options(arguments)]
    print(" ".join(["Next: autobrats_find_best_config", *told]))
    return 0


def _study_options(arguments: argparse.Namespace) -> list[str]:
    """The options without which autobrats_find_best_config would begin another study."""
    parser = new_tune_parser()
    options = ["--pareto"] if arguments.pareto else []
    for name in ("objective", "groups", "seed"):
        if getattr(arguments, name) != parser.get_default(name):
            options += [f"--{name}", str(getattr(arguments, name))]
    return options


def _tune_label_maps(arguments: argparse.Namespace) -> int:
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.tuning.label_maps import label_map_source
    from autobrats.tuning.postprocessing_tuning import tune_postprocessing
    from autobrats.tuning.search_space import SearchSpace
    from autobrats.tuning.tables import write_tuning_files

    source, told = label_map_source(arguments.predictions, arguments.references, arguments.convention)
    for sentence in told:
        print(sentence)
    with ProgressBar("Tuning the postprocessing") as on_progress:
        result = tune_postprocessing(source, arguments.output, tuning_options(arguments), on_progress=on_progress)
    print_tuning(result, SHOWN)
    space = SearchSpace(source.convention, graded=source.graded)
    write_tuning_files(arguments.output, result, space.parts(result.choice) if result.choice else [])
    print(f"All trials: {arguments.output / 'trials.csv'}; the result: {arguments.output / 'result.json'}")
    return 0


def _tune_hard_mining(arguments: argparse.Namespace) -> int:
    from autobrats.devices import choose_device
    from autobrats.files import write_json
    from autobrats.tuning.hard_mining_result import apply_choice
    from autobrats.tuning.hard_mining_search import tune_hard_mining

    arguments.configurations = [arguments.hard_mining]
    trained = read_trained(arguments)
    result = tune_hard_mining(
        trained.folder,
        trained.dataset,
        trained.plan,
        arguments.hard_mining,
        trials=arguments.trials,
        max_hours=arguments.max_hours,
        seed=arguments.seed,
        device=choose_device(arguments.device),
        on_trial=_print_trial,
    )
    _print_hard_mining(result)
    plan = apply_choice(trained.plan, arguments.hard_mining, result)
    if plan != trained.plan:
        write_json(trained.folder.plan_file, plan)
        print(
            f"The plan's hard mining is changed: {shown_path(trained.folder.plan_file)}. It counts in trainings from now on."
        )
    return 0


def _print_hard_mining(result: HardMiningResult) -> None:
    from autobrats.reporting.tables import print_table

    rows = [
        [part.name, part.cases, f"{part.starting_dice:.4f}", f"{part.reference_dice:.4f}", f"{part.chosen_dice:.4f}"]
        for part in result.parts
    ]
    title = "Mean Dice of held-back cases: chosen by the other folds, against the reference"
    print_table(["fold", "cases", "before", "reference", "chosen"], rows, title=title)
    print(result.sentence)


def _print_trial(news: TrialNews) -> None:
    row = news.row
    dice = f"mean Dice {row.dice:.4f}" if row.dice is not None else row.state
    print(f"Trial {news.done} of {news.trials}: {row.choice}: {dice} ({row.seconds:.0f} s)", flush=True)
