"""autobrats_demo: the whole way on generated studies, with an honest score at the end."""

from __future__ import annotations

import argparse
import importlib
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.demo_survival import report_survival, train_arguments
from autobrats.commands.running import count, new_parser, not_negative, positive, run
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.evaluation.metrics_file import Metrics

_FOLDS = ("0", "1")
_PARTS = ("studies", "patients", "new_studies", "truth", "workspace", "segmentations", "pictures")
_TRAINING_SHARE = 0.6
_TRIALS = 60
_SHAPE = (48, 60, 52)
"""Voxels of about 3 mm: a brain fits into one or two patches that two cores can train on."""
_EPILOG = """\
examples:
  autobrats_demo -o demo              about six minutes on two cores
  autobrats_demo -o demo --minutes 30 the same with a longer training

The studies are generated (no patient's data), with the contrasts of T1, T1c, T2 and FLAIR; the studies that are scored
at the end are generated from another seed after the training. The scores say that the way works, and nothing about
real patients.
"""


def new_demo_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_demo."""
    parser = new_parser(
        "autobrats_demo", "Generate studies, then plan, train, choose and predict, and score the result.", _EPILOG
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder, or that of an earlier demo"
    )
    parser.add_argument(
        "--minutes", type=positive, default=5.0, metavar="M", help="about how long it takes in all (default: 5)"
    )
    parser.add_argument("--cases", type=count, default=20, metavar="N", help="studies to train on (default: 20)")
    parser.add_argument("--new-cases", type=count, default=6, metavar="N", help="studies to predict (default: 6)")
    parser.add_argument(
        "--patients",
        type=not_negative,
        default=120,
        metavar="N",
        help="to learn survival from; 0 for none (default: 120)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the studies and of the training")
    parser.add_argument("--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_demo_parser(), _demo, argv)


def _demo(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    output = arguments.output
    _make_room(output)
    studies, new_studies, segmentations = output / "studies", output / "new_studies", output / "segmentations"
    _generate(studies, arguments.cases, arguments.seed, "Phantom")

    workspace = ["-w", str(output / "workspace")]
    device = ["--device", arguments.device] if arguments.device else []
    hours = _TRAINING_SHARE * arguments.minutes / 60
    # The plan is for five folds, of which the demo trains two.
    for_five = f"{hours * 5 / len(_FOLDS):.4f}"
    seed = ["--seed", str(arguments.seed)]
    _call("plan", "-i", str(studies), *workspace, "--max-hours", for_five, *seed, *device)
    _call("train", "3d_fullres", *_FOLDS, *workspace, "--max-hours", f"{hours:.4f}", *device)
    _call("find_best_config", *workspace, "--trials", str(_TRIALS))
    patients, survival_model = output / "patients", output / "workspace" / studies.name / "survival"
    if arguments.patients:
        _generate(patients, arguments.patients, arguments.seed + 2, "Patient", with_images=False)
        _call("survival_train", *train_arguments(patients, survival_model, arguments.seed))
    _generate(new_studies, arguments.new_cases, arguments.seed + 1, "New")
    _set_truth_aside(new_studies, output / "truth")
    survival = ["--survival"] if arguments.patients else []
    _call("predict", "-i", str(new_studies), "-o", str(segmentations), *workspace, *device, *survival)

    metrics = _score(output)
    if arguments.patients:
        report_survival(patients, new_studies, segmentations, survival_model)
    _report(output, metrics, time.monotonic() - started)
    return 0


def _make_room(output: Path) -> None:
    """Remove an earlier demo's results; refuse a folder that holds anything else."""
    import shutil

    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give a new folder with -o.")
    there = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if there and not (output / "README.txt").is_file():
        raise UserError(f"{output} is not empty and not of an earlier demo; give a new folder with -o.")
    for part in _PARTS:
        shutil.rmtree(output / part, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "README.txt").write_text(
        "Written by autobrats_demo. studies: generated training studies; patients: masks, ages and survival of further\n"
        "generated patients; workspace: what autobrats made of them;\n"
        "new_studies: generated studies that training never saw; segmentations: their prediction; truth: what they\n"
        "really are; pictures: both; scores.json: how well they agree.\n",
        encoding="utf-8",
    )


def _generate(folder: Path, cases: int, seed: int, name: str, *, with_images: bool = True) -> None:
    from autobrats.phantoms.folder import write_dataset
    from autobrats.workers import default_workers

    started = time.monotonic()
    workers = default_workers(0.5)
    write_dataset(folder, cases, seed, shape=_SHAPE, name=name, with_images=with_images, workers=workers)
    kind = "studies" if with_images else "patients without images"
    print(f"Generated {cases} {kind} in {folder} ({time.monotonic() - started:.0f} s).", flush=True)


def _set_truth_aside(studies: Path, truth: Path) -> None:
    """Move the masks of new studies away, so that nothing but their images can be read."""
    truth.mkdir()
    for mask in sorted(studies.glob("*/*_seg.nii.gz")):
        mask.rename(truth / mask.name.replace("_seg", ""))


def _call(command: str, *arguments: str) -> None:
    """Run one of the commands as a user would.

    Raises:
        UserError: if it fails.
        KeyboardInterrupt: if it was interrupted.
    """
    print(f"\n$ autobrats_{command} {shlex.join(arguments)}", flush=True)
    code = importlib.import_module(f"autobrats.commands.{command}").main(arguments)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise UserError(f"autobrats_{command} ended with code {code}; what it said stands above.")


def _score(output: Path) -> Metrics:
    """Score every new study's prediction against its truth, draw both, and write scores.json."""
    from autobrats.dataset.cases import Dataset, ImageFile
    from autobrats.dataset.reading import read_studies
    from autobrats.dataset.volumes import read_mask, read_study
    from autobrats.evaluation.cases import score_case
    from autobrats.evaluation.metrics_file import build_metrics, case_metrics, write_metrics
    from autobrats.files import read_model
    from autobrats.reporting.overlay_figure import write_overlay_figure
    from autobrats.workspace import Workspace

    dataset = read_model(Workspace.locate(output / "workspace").dataset().dataset_file, Dataset)
    cases = {}
    for case in read_studies(output / "new_studies", dataset.modalities)[0]:
        study = read_study(case, dataset.modalities)
        truth, predicted = (
            read_mask(ImageFile(path=output / part / f"{case.name}.nii.gz"), study.geometry)
            for part in ("truth", "segmentations")
        )
        scores = score_case(predicted, truth, dataset.convention, study.spacing_mm)
        cases[case.name] = case_metrics(case.patient, scores)
        dice = "  ".join(f"{region} {values['dice']:.3f}" for region, values in scores.items())
        write_overlay_figure(
            output / "pictures" / f"{case.name}.png",
            dict(zip(dataset.modalities, study.images, strict=True)),
            dataset.convention,
            study.spacing_mm,
            reference=truth,
            prediction=predicted,
            title=f"{case.name}: Dice {dice}",
        )
    metrics = build_metrics("3d_fullres", cases)
    write_metrics(output / "scores.json", metrics)
    return metrics


def _report(output: Path, metrics: Metrics, seconds: float) -> None:
    from autobrats.reporting.tables import print_summary, print_table
    from autobrats.workspace import Workspace

    regions = list(metrics.summary)
    rows = [
        [name, *(f"{case.regions[region]['dice']:.3f}" for region in regions)] for name, case in metrics.cases.items()
    ]
    print()
    print_table(["new study", *(f"Dice {region}" for region in regions)], rows)
    print()
    print_summary(
        metrics,
        title=f"{len(rows)} generated studies that training never saw (means with 95 % intervals over the studies)",
    )
    print("A region that neither the truth nor the prediction has counts as Dice 1, one that only one has as 0.")
    print(f"Pictures: {output / 'pictures'}; scores: {output / 'scores.json'}; model: {output / 'workspace'}.")
    print(f"Report: {Workspace.locate(output / 'workspace').dataset().report_file}")
    print(f"The whole way took {seconds / 60:.1f} minutes.")
