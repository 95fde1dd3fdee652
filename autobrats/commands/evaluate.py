"""autobrats_evaluate: score predicted label maps against references, and compare sets of predictions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats import __version__
from autobrats.commands.running import count, new_parser, not_negative, positive, run
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.dataset.conventions import Convention
    from autobrats.evaluation.label_maps import LabelMaps
    from autobrats.evaluation.metrics_file import Metrics

WORST_SHOWN = 5
FAILURES_SHOWN = 10
IN_THIS_PROCESS = 8
"""Fewer pairs are scored before worker processes would have started."""
GIB_A_WORKER = 0.4
"""More than a worker takes for whole studies of 240 x 240 x 155 voxels (measured: 0.15)."""

SETTINGS, FAILURES = "evaluation.json", "failures.csv"
ALWAYS_WRITTEN = (SETTINGS, "metrics.csv", "metrics.json", "scores.csv", "worst_cases.csv")
SOMETIMES_WRITTEN = (FAILURES, "comparison.csv", "ranking.csv", "ranking.json")
LESION_TASKS = ("glioma", "africa", "paediatric", "meningioma", "metastases")

_EPILOG = """\
examples:
  autobrats_evaluate -p SEGMENTATIONS -r REFERENCES
      scores on the screen
  autobrats_evaluate -p SEGMENTATIONS -r REFERENCES -o SCORES
      and as tables in the folder SCORES: metrics.csv has a line a case and region
  autobrats_evaluate -p SEGMENTATIONS -r REFERENCES --lesions glioma
      also lesion by lesion, as BraTS since 2023
  autobrats_evaluate -p MODEL_A -r REFERENCES --against MODEL_B --against MODEL_C
      is MODEL_A better, and beyond chance? And who is first?

Files are paired by case name: CASE.nii.gz, CASE_seg.nii.gz, CASE_prediction.nii.gz, CASE_reference.nii.gz, CASE-gt.nii.gz
and the like, a folder a case, or a dataset as autobrats_plan reads it. A reference without a prediction counts as the
worst that is possible (Dice 0); a prediction without a reference is listed.

exit code: 0 if every case was scored, 1 if any failed or had no partner, 2 for wrong use.
"""


@dataclass(frozen=True)
class ScoredSet:
    """One set of predictions after scoring; failures are (case, reason)."""

    metrics: Metrics
    failures: list[tuple[str, str]]

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.metrics.configuration

    @property
    def reasons(self) -> dict[str, str]:
        """Why a case failed."""
        return dict(self.failures)


def new_evaluate_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_evaluate."""
    parser = new_parser(
        "autobrats_evaluate",
        "Score predicted label maps against references: overlap, distances and volumes, case by case.",
        _EPILOG,
    )
    parser.add_argument(
        "-p", "--predictions", type=Path, required=True, metavar="PREDICTIONS", help="folder of label maps, or one file"
    )
    parser.add_argument(
        "-r",
        "--references",
        type=Path,
        required=True,
        metavar="REFERENCES",
        help="folder of label maps (other files may lie there, even the predictions), a dataset, or one file",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="write the tables there")
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="OTHER",
        help="another folder of predictions of the same cases to compare with; may be given several times",
    )
    _add_definitions(parser)
    comparison = parser.add_argument_group("comparison (with --against)")
    comparison.add_argument(
        "--by", nargs="+", default=["dice", "hd95"], metavar="METRIC", help="compare and rank by these (dice hd95)"
    )
    comparison.add_argument(
        "--permutations", type=count, default=100_000, metavar="N", help="of the test of the ranking (100000)"
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of intervals and permutations (0)")
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help="processes (default: by cores and memory; 0: none beside this)",
    )
    return parser


def _add_definitions(parser: argparse.ArgumentParser) -> None:
    """The options that say what the labels mean and how metrics are defined."""
    labels = parser.add_argument_group("labels")
    labels.add_argument(
        "--convention",
        metavar="NAME",
        help="of the references: brats2012, brats2017, brats2023, brats2024, brats_ped, or plain for each label by "
        "itself (default: by their names and integers)",
    )
    labels.add_argument(
        "--prediction-convention", metavar="NAME", help="of the predictions, if it is another (default: by integers)"
    )
    definitions = parser.add_argument_group("definitions")
    definitions.add_argument(
        "--absent",
        choices=("brats", "infinite", "excluded"),
        default="brats",
        help="distance of a region that only one of the two has: 373.13 mm as BraTS (default), infinite, or left out",
    )
    definitions.add_argument(
        "--hd95",
        choices=("directed", "pooled"),
        default="directed",
        help="the larger of both directions' 95th percentiles as BraTS and MONAI (default), or of all distances "
        "together as medpy",
    )
    definitions.add_argument(
        "--tolerance-mm", type=positive, default=1.0, metavar="MM", help="of the normalised surface Dice (1)"
    )
    definitions.add_argument(
        "--lesions",
        choices=LESION_TASKS,
        metavar="TASK",
        help=f"also lesion by lesion, by BraTS' rules for TASK: {', '.join(LESION_TASKS)}",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_evaluate_parser(), _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    from autobrats.evaluation.label_maps import find_label_maps
    from autobrats.evaluation.label_meaning import reference_convention
    from autobrats.reporting.score_tables import print_distributions, print_worst_cases

    _check_metrics(arguments)
    if arguments.output is not None:
        _refuse_overwriting(arguments.output)
    paths = [arguments.predictions, *arguments.against]
    names = _set_names(paths)
    references = find_label_maps(arguments.references, "reference")
    predictions = [find_label_maps(path, "prediction") for path in paths]
    convention, evidence = reference_convention(references, arguments.convention)
    _say_what_is_read(references, convention, evidence)

    scored = [
        _score(arguments, name, maps, references, convention) for name, maps in zip(names, predictions, strict=True)
    ]
    first = scored[0]
    cases = len(first.metrics.cases)
    print_distributions(first.metrics, title=f"\n{first.name}: {cases} case{'s' * (cases != 1)}, intervals by patient")
    print()
    print_worst_cases(first.metrics, WORST_SHOWN, first.reasons)
    if arguments.output is not None:
        _write_scores(arguments, scored, convention, evidence)
    if arguments.against:
        _compare(arguments, scored)
    _report_failures(scored)
    if arguments.output is not None:
        print(f"\nwritten: {arguments.output}")
    return 1 if any(of.failures for of in scored) else 0


def _check_metrics(arguments: argparse.Namespace) -> None:
    """UserError for a metric to compare by that does not exist or will not be computed."""
    from autobrats.evaluation.directions import direction_of
    from autobrats.evaluation.lesions import LESION_METRICS

    for metric in arguments.by:
        direction_of(metric)
        if metric in LESION_METRICS and arguments.lesions is None:
            raise UserError(f"'{metric}' is computed lesion by lesion; say --lesions TASK ({', '.join(LESION_TASKS)}).")


def _refuse_overwriting(output: Path) -> None:
    """UserError if the folder holds files of our names that are not from an earlier evaluation."""
    if (output / SETTINGS).is_file():
        return
    for name in (*ALWAYS_WRITTEN, *SOMETIMES_WRITTEN):
        if (output / name).exists():
            raise UserError(f"{output / name} is not from autobrats_evaluate; choose another output folder.")


def _set_names(paths: Sequence[Path]) -> list[str]:
    """What the sets of predictions are called: the folders' names, with as many of those above as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for above in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-above:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    twice = next(path for index, path in enumerate(paths) if path.resolve() in [it.resolve() for it in paths[:index]])
    raise UserError(f"{twice} is given twice as predictions; name each folder once.")


def _say_what_is_read(references: LabelMaps, convention: Convention, evidence: str) -> None:
    patients = len(set(references.patients.values()))
    print(f"references: {references.root}: {_counted(references)} of {patients} patient{'s' * (patients != 1)}")
    regions = "; ".join(f"{name} = {', '.join(map(str, of))}" for name, of in convention.regions.items())
    print(f"labels: {convention.name} ({regions})\n    {evidence}", flush=True)


def _score(
    arguments: argparse.Namespace, name: str, predictions: LabelMaps, references: LabelMaps, convention: Convention
) -> ScoredSet:
    """Pair one set of predictions with the references and score it."""
    from autobrats.evaluation.label_meaning import find_meaning
    from autobrats.evaluation.lesions import LESION_RULES
    from autobrats.evaluation.pair_scores import Scoring, score_pairs
    from autobrats.evaluation.pairing import pair_label_maps
    from autobrats.reporting.progress_bar import ProgressBar
    from autobrats.workers import default_workers

    pairing = pair_label_maps(predictions, references)
    meaning = find_meaning(convention, predictions, arguments.prediction_convention)
    print(f"predictions: {predictions.root}: {_counted(predictions)}", flush=True)
    for note in meaning.notes:
        print(f"    {note}")
    if missing := len(pairing.without_prediction):
        print(f"    {missing} of {len(pairing.pairs)} references have no prediction; each counts as the worst (Dice 0)")
    if extra := len(pairing.without_reference):
        print(f"    {extra} prediction{'s have' if extra > 1 else ' has'} no reference and cannot be scored")
    scoring = Scoring(
        meaning=meaning,
        absent=arguments.absent,
        percentile=arguments.hd95,
        tolerance_mm=arguments.tolerance_mm,
        lesions=LESION_RULES[arguments.lesions] if arguments.lesions else None,
    )
    workers = arguments.workers
    if workers is None:
        workers = default_workers(GIB_A_WORKER) if len(pairing.pairs) >= IN_THIS_PROCESS else 0
    with ProgressBar(name) as on_progress:
        scores = score_pairs(
            name, pairing.pairs, scoring, workers=workers, on_progress=on_progress, seed=arguments.seed
        )
    failures = [(failure.case, failure.reason) for failure in scores.failures]
    failures += [
        (case, f"there is no reference of this case ({file})") for case, file in pairing.without_reference.items()
    ]
    return ScoredSet(scores.metrics, sorted(failures))


def _counted(maps: LabelMaps) -> str:
    return f"{len(maps.files)} label map{'s' * (len(maps.files) != 1)}"


def _write_scores(
    arguments: argparse.Namespace, scored: Sequence[ScoredSet], convention: Convention, evidence: str
) -> None:
    """Write the tables of the first set and the failures of all; what an earlier evaluation left goes."""
    from autobrats.evaluation.metrics_file import write_metrics
    from autobrats.files import write_csv, write_json
    from autobrats.reporting.score_tables import write_case_table, write_score_tables

    output, first = arguments.output, scored[0]
    write_json(output / SETTINGS, _settings(arguments, convention, evidence))
    for name in SOMETIMES_WRITTEN:
        (output / name).unlink(missing_ok=True)
    write_case_table(output / "metrics.csv", first.metrics)
    write_metrics(output / "metrics.json", first.metrics)
    write_score_tables(output, first.metrics, first.reasons)
    if lines := [(of.name, case, reason) for of in scored for case, reason in of.failures]:
        write_csv(output / FAILURES, ["predictions", "case", "reason"], lines)


def _settings(arguments: argparse.Namespace, convention: Convention, evidence: str) -> dict[str, object]:
    """By what definitions the scores were computed, so that others can be compared with them."""
    return {
        "autobrats": __version__,
        "predictions": str(arguments.predictions.resolve()),
        "references": str(arguments.references.resolve()),
        "against": [str(path.resolve()) for path in arguments.against],
        "convention": convention.model_dump(mode="json"),
        "convention_evidence": evidence,
        "prediction_convention": arguments.prediction_convention,
        "absent": arguments.absent,
        "hd95": arguments.hd95,
        "tolerance_mm": arguments.tolerance_mm,
        "lesions": arguments.lesions,
        "seed": arguments.seed,
    }


def _compare(arguments: argparse.Namespace, scored: Sequence[ScoredSet]) -> None:
    """Compare the first set with the others and rank all, on the screen and in the output folder."""
    from autobrats.evaluation.comparison import compare
    from autobrats.evaluation.ranking import rank_competitors
    from autobrats.reporting.comparison_tables import (
        print_comparison,
        print_means,
        print_ranking,
        write_comparison,
        write_ranking,
    )

    sets = [of.metrics for of in scored]
    differences = compare(sets[0], sets[1:], arguments.by, seed=arguments.seed)
    ranking = rank_competitors(
        sets,
        arguments.by,
        failed={of.name: of.reasons for of in scored},
        permutations=arguments.permutations,
        seed=arguments.seed,
    )
    print()
    print_means(sets, arguments.by)
    print_comparison(differences)
    print_ranking(ranking)
    if arguments.output is not None:
        write_comparison(arguments.output / "comparison.csv", differences)
        write_ranking(arguments.output, ranking)


def _report_failures(scored: Sequence[ScoredSet]) -> None:
    """What failed in every set, on stderr."""
    sys.stdout.flush()
    for of in scored:
        if not of.failures:
            continue
        print(f"\nFailed in {of.name} ({len(of.failures)}):", file=sys.stderr)
        for case, reason in of.failures[:FAILURES_SHOWN]:
            print(f"  {case}: {reason}", file=sys.stderr)
        if (more := len(of.failures) - FAILURES_SHOWN) > 0:
            print(f"  and {more} more (all of them with -o, in {FAILURES})", file=sys.stderr)
