"""Dice on held-back cases after the same minutes of training: autobrats beside a plain U-Net of MONAI, from the raw folder.

    python benchmarks/training.py FOLDER --patch 32 48 32 [--minutes 10] [--peer PYTHON]

autobrats_plan is given the hours that five such folds take, and autobrats_train the minutes for fold 0, its validation
included. MONAI trains for the same minutes on the same preprocessed cases (benchmarks/sides/monai_training.py), without a
validation. Both are scored on the studies' own grids.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autobrats.dataset.cases import Dataset  # noqa: E402
from autobrats.dataset.volumes import read_case_mask  # noqa: E402
from autobrats.evaluation.cases import score_case  # noqa: E402
from autobrats.evaluation.comparison import PairedDifference, compare  # noqa: E402
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics, read_metrics  # noqa: E402
from autobrats.evaluation.probability_file import to_volume  # noqa: E402
from autobrats.files import read_model  # noqa: E402
from autobrats.inference.prediction import decide_labels  # noqa: E402
from autobrats.plan import Plan  # noqa: E402
from autobrats.planning.splits import read_splits  # noqa: E402
from autobrats.preprocessing.store import CaseStore  # noqa: E402
from autobrats.preprocessing.transform import to_study_box  # noqa: E402
from autobrats.reporting.tables import print_table  # noqa: E402
from autobrats.training.run_directory import RunDirectory  # noqa: E402
from autobrats.workspace import DatasetFolder, Workspace  # noqa: E402
from benchmarks.side_by_side.side import Side  # noqa: E402

CONFIGURATION, FOLD, FOLDS = "3d_fullres", 0, 5


@dataclass(frozen=True)
class Trained:
    """Scores of the held-back cases of both, and the steps that MONAI's network did."""

    ours: Metrics
    theirs: Metrics
    iterations: int

    @property
    def differences(self) -> list[PairedDifference]:
        """Of Dice, region by region, ours minus theirs."""
        return compare(self.ours, [self.theirs], ["dice"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patch", type=int, nargs=3, required=True, help="of MONAI's network, along z, y, x")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--peer", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        trained = train_both(
            arguments.folder, arguments.patch, arguments.minutes, arguments.peer.absolute(), Path(scratch)
        )
    sides = {"autobrats": trained.ours, f"MONAI U-Net, {trained.iterations} iterations": trained.theirs}
    table = [
        [name, *(f"{of['dice'].mean:.3f}" for of in metrics.summary.values()), f"{metrics.mean_dice.mean:.3f}"]
        for name, metrics in sides.items()
    ]
    title = f"Dice of {len(trained.ours.cases)} held-back cases"
    print_table(["", *trained.ours.summary, "mean"], table, title=title)
    for difference in trained.differences:
        print(f"  {difference.region}: {difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})")


def train_both(raw: Path, patch: list[int], minutes: float, peer: Path, scratch: Path) -> Trained:
    """Plan, train ours, train MONAI's, and score both.

    Args:
        raw: the dataset as it comes.
        patch: of MONAI's network, voxels along (z, y, x).
        minutes: of training, for each.
        peer: the interpreter of the environment with MONAI.
        scratch: an empty folder.
    """
    workspace, hours = scratch / "workspace", minutes / 60
    _run("plan", "-i", raw, "-w", workspace, "--max-hours", f"{FOLDS * hours:.4f}")
    _run("train", CONFIGURATION, str(FOLD), "-w", workspace, "--max-hours", f"{hours:.5f}")
    folder = Workspace.locate(workspace).dataset(None)
    ours = read_metrics(RunDirectory(folder.run(CONFIGURATION, FOLD)).metrics_file)
    theirs, iterations = _train_monai(folder, patch, minutes, peer, scratch)
    return Trained(ours, theirs, iterations)


def _train_monai(
    folder: DatasetFolder, patch: list[int], minutes: float, peer: Path, scratch: Path
) -> tuple[Metrics, int]:
    dataset, plan = read_model(folder.dataset_file, Dataset), read_model(folder.plan_file, Plan)
    split = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases}).folds[FOLD]
    store, convention = CaseStore(folder.preprocessed), plan.convention
    for name in (*split.train, *split.val):
        images, labels = store.load(name)
        assert labels is not None
        np.savez(scratch / f"{name}.npz", images=images, regions=convention.to_regions(labels))
    options = {
        "train": [str(scratch / f"{name}.npz") for name in split.train],
        "held_back": {str(scratch / f"{name}.npy"): str(scratch / f"{name}.npz") for name in split.val},
        "patch": patch,
        "minutes": minutes,
    }
    with Side(peer, "monai_training", options) as side:
        iterations = side.repeat()["iterations"]
    scored = {}
    for name in split.val:
        placement, case = store.properties(name).placement, dataset.case(name)
        levels = to_study_box(np.load(scratch / f"{name}.npy"), placement)
        labels = decide_labels(levels, list(convention.regions), convention, 0.5)
        labels = to_volume(labels[None], placement.box, placement.study_shape)[0]
        reference = read_case_mask(case, dataset.modalities)
        scores = score_case(labels, reference, convention, placement.study_spacing_mm)
        scored[name] = case_metrics(case.patient, scores, FOLD)
    return build_metrics("monai", scored), iterations


def _run(command: str, *arguments: str | Path) -> None:
    code = f"import sys; from autobrats.commands.{command} import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


if __name__ == "__main__":
    main()
