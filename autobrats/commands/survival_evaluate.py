"""autobrats_survival_evaluate: score predictions of survival against what became of the patients."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats import __version__
from autobrats.commands.running import new_parser, not_negative, run
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.dataset.clinical.clinical_table import ClinicalTable
    from autobrats.evaluation.survival.intervals import Score
    from autobrats.evaluation.survival.matching import Outcomes
    from autobrats.evaluation.survival.metrics import SurvivalMetrics
    from autobrats.evaluation.survival.predictions import SurvivalPredictions
    from autobrats.reporting.page.survival_data import SurvivalStory

SETTINGS = "survival_evaluation.json"
WRITTEN = (SETTINGS, "survival_metrics.json", "survival_metrics.csv", "survival.html", "survival_comparison.csv")
NAMED = 5
"""Patients that are named where there are many."""

_EPILOG = """\
examples:
  autobrats_survival_evaluate -p survival.csv -r clinical.csv
      scores on the screen
  autobrats_survival_evaluate -p survival.csv -r clinical.csv -o SCORES --gtr-only
      of patients with gross total resection only, as BraTS; and written to SCORES, with a page of figures
  autobrats_survival_evaluate -p survival.csv -r clinical.csv --compare age_alone.csv
      is it better than age alone, beyond chance?

survival.csv is what autobrats_survival_predict writes; two columns, id and days, are enough (as the BraTS portal takes).
Clinical tables of BraTS 2017 to 2020, UPENN-GBM and UCSF-PDGM are read as they are; --columns helps with others.

exit code: 0 if all predictions found their patient, 1 if some did not, 2 for wrong use.
"""


@dataclass(frozen=True)
class _Set:
    """Predictions by name, and those of the patients that are scored."""

    name: str
    patients: Sequence[str]
    predictions: SurvivalPredictions


def new_survival_evaluate_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_survival_evaluate."""
    parser = new_parser(
        "autobrats_survival_evaluate",
        "Score predicted survival as the BraTS portal does, and by concordance, AUC, Brier score and calibration.",
        _EPILOG,
    )
    parser.add_argument(
        "-p", "--predictions", type=Path, required=True, metavar="CSV", help="survival.csv, or a table of id and days"
    )
    parser.add_argument(
        "-r", "--references", type=Path, required=True, metavar="CSV", help="clinical table with the survival times"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write tables and a page with figures there"
    )
    parser.add_argument(
        "--gtr-only", action="store_true", help="only patients with gross total resection, as the BraTS portal"
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="ROLE=HEADER",
        help="what columns of the clinical tables are, where their names say too little",
    )
    parser.add_argument(
        "--training",
        type=Path,
        metavar="CSV",
        help="clinical table of the training patients: how censoring is distributed is taken from them "
        "(default: from the scored patients)",
    )
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="CSV", help="other predictions of the same patients"
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of the intervals (0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_survival_evaluate_parser(), _evaluate, argv, goes_on=False)


def _evaluate(arguments: argparse.Namespace) -> int:
    from autobrats.dataset.clinical.column_map import parse_column_map
    from autobrats.dataset.clinical.reading import read_clinical
    from autobrats.evaluation.survival.matching import known_outcomes
    from autobrats.evaluation.survival.scores import compare_survival, score_survival

    if arguments.output is not None:
        _refuse_overwriting(arguments.output)
    columns = parse_column_map(arguments.columns)
    sets = _read_sets([arguments.predictions, *arguments.compare])
    clinical = read_clinical(arguments.references, columns)
    _say_what_is_read(clinical)
    training = None
    if arguments.training is not None:
        training = known_outcomes(read_clinical(arguments.training, columns).records)
        print(f"censoring: as of {len(training[0])} patients in {arguments.training}")

    sets, outcomes = _matched(sets, clinical, gtr_only=arguments.gtr_only)
    strangers = _report_matching(sets[0].name, outcomes)
    days, died = outcomes.days, outcomes.died
    scores = {it.name: score_survival(days, died, it.predictions, training, seed=arguments.seed) for it in sets}
    differences = {
        it.name: compare_survival(days, died, sets[0].predictions, it.predictions, training, seed=arguments.seed)
        for it in sets[1:]
    }
    _print(scores, differences)
    if arguments.output is not None:
        _write(arguments, sets, outcomes, scores, differences)
        print(f"\nwritten: {arguments.output}")
    return 1 if strangers else 0


def _refuse_overwriting(output: Path) -> None:
    """UserError if the folder holds files of our names that are not from an earlier evaluation."""
    if (output / SETTINGS).is_file():
        return
    for name in WRITTEN:
        if (output / name).exists():
            raise UserError(f"{output / name} is not from autobrats_survival_evaluate; choose another output folder.")


def _read_sets(paths: Sequence[Path]) -> list[_Set]:
    from autobrats.evaluation.survival.prediction_file import read_predictions

    for index, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:index]]:
            raise UserError(f"{path} is given twice as predictions; name each file once.")
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    sets = []
    for name, path in zip(names, paths, strict=True):
        read = read_predictions(path)
        sets.append(_Set(name, read.patients, read.predictions))
    return sets


def _say_what_is_read(clinical: ClinicalTable) -> None:
    print(f"references: {clinical.title}")
    for finding in clinical.findings:
        if finding.severity == "warning":
            print(f"    {finding.column + ': ' if finding.column else ''}{finding.message} ({finding.count})")
    sys.stdout.flush()


def _matched(sets: Sequence[_Set], clinical: ClinicalTable, *, gtr_only: bool) -> tuple[list[_Set], Outcomes]:
    """The sets with only those patients that all of them have, and the outcomes of these."""
    from autobrats.evaluation.survival.matching import match_outcomes

    outcomes = match_outcomes(sets[0].patients, clinical.records, gtr_only=gtr_only)
    if not outcomes.patients:
        raise UserError(
            f"No prediction of {sets[0].name} can be scored: {len(outcomes.strangers)} are not in {clinical.file}, "
            f"{len(outcomes.left_out)} are left out; check the ids, and the column of survival."
        )
    rows = {sets[0].name: list(outcomes.rows)}
    for other in sets[1:]:
        place = {name: row for row, name in enumerate(other.patients)}
        missing = [name for name in outcomes.patients if name not in place]
        if missing:
            raise UserError(
                f"{other.name} has no prediction of {missing[0]}"
                f"{f' and {len(missing) - 1} more' if missing[1:] else ''}; compare predictions of the same patients, "
                f"with the same ids as in {sets[0].name}."
            )
        rows[other.name] = [place[name] for name in outcomes.patients]
    return [_Set(it.name, outcomes.patients, it.predictions.rows(rows[it.name])) for it in sets], outcomes


def _report_matching(name: str, outcomes: Outcomes) -> bool:
    """Say who is scored, who is not and why; whether predictions have no patient in the table."""
    died = int(outcomes.died.sum())
    print(f"predictions: {name}: {len(outcomes.patients)} patients are scored, {died} of them died")
    for reason, number in Counter(outcomes.left_out.values()).items():
        print(f"    {number} left out: {reason}")
    if outcomes.unpredicted:
        print(f"    {len(outcomes.unpredicted)} more of the clinical table were not predicted")
    print()
    sys.stdout.flush()
    if outcomes.strangers:
        named = ", ".join(outcomes.strangers[:NAMED])
        more = f" and {len(outcomes.strangers) - NAMED} more" if len(outcomes.strangers) > NAMED else ""
        print(f"Not in the clinical table, and not scored: {named}{more}", file=sys.stderr)
    return bool(outcomes.strangers)


def _print(scores: Mapping[str, SurvivalMetrics], differences: Mapping[str, Mapping[str, Score]]) -> None:
    from autobrats.reporting.survival_tables import (
        listed_reasons,
        print_calibration,
        print_confusion,
        print_differences,
        print_portal_table,
        print_survival_scores,
    )

    first, *_ = scores
    print_portal_table(scores)
    for reason in listed_reasons(scores[first]):
        print(f"not defined: {reason}")
    print()
    print_confusion(scores[first])
    print()
    print_survival_scores(scores[first])
    print()
    print_calibration(scores[first])
    for second, difference in differences.items():
        print()
        print_differences(first, second, difference)


def _write(
    arguments: argparse.Namespace,
    sets: Sequence[_Set],
    outcomes: Outcomes,
    scores: Mapping[str, SurvivalMetrics],
    differences: Mapping[str, Mapping[str, Score]],
) -> None:
    """Write the metrics of the first set, the comparison, and the page; what an earlier evaluation left goes."""
    from autobrats.evaluation.survival.metrics import write_survival_metrics, write_survival_table
    from autobrats.files import write_json
    from autobrats.reporting.page.survival_page import write_survival_page
    from autobrats.reporting.survival_tables import write_differences

    output, first = arguments.output, sets[0]
    write_json(output / SETTINGS, _settings(arguments))
    write_survival_metrics(output / "survival_metrics.json", scores[first.name])
    write_survival_table(output / "survival_metrics.csv", scores[first.name])
    comparison = output / "survival_comparison.csv"
    comparison.unlink(missing_ok=True)
    if differences:
        write_differences(comparison, first.name, differences)
    write_survival_page(output / "survival.html", _story(arguments, first, outcomes, scores))


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    """By what the scores were computed, so that others can be compared with them."""
    return {
        "autobrats": __version__,
        "predictions": str(arguments.predictions.resolve()),
        "references": str(arguments.references.resolve()),
        "compare": [str(path.resolve()) for path in arguments.compare],
        "training": str(arguments.training.resolve()) if arguments.training else None,
        "columns": arguments.columns,
        "gtr_only": arguments.gtr_only,
        "seed": arguments.seed,
    }


def _story(
    arguments: argparse.Namespace, first: _Set, outcomes: Outcomes, scores: Mapping[str, SurvivalMetrics]
) -> SurvivalStory:
    from datetime import datetime

    from autobrats.reporting.page.survival_data import ModelScores, SurvivalStory, patients_of

    number, died = len(outcomes.patients), int(outcomes.died.sum())
    of = " with gross total resection" if arguments.gtr_only else ""
    return SurvivalStory(
        title=f"{first.name}: predicted survival",
        created=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        chosen=[f"{number} patients{of} of {arguments.references.name}, of whom {died} died."],
        how_estimated=f"Scores on {number} patients.",
        models=[ModelScores(name=name, nested=metrics.scores) for name, metrics in scores.items()],
        patients=patients_of(list(outcomes.patients), outcomes.days, outcomes.died, first.predictions),
        facts={
            key.replace("_", " "): ", ".join(value) if isinstance(value, list) else str(value)
            for key, value in _settings(arguments).items()
            if value
        },
    )
