"""Dice after ten minutes of training, on two datasets: ours beside a plain U-Net of MONAI."""

from __future__ import annotations

from autobrats.devices import core_count
from benchmarks.side_by_side.comparison import Comparison, Row, Setting
from benchmarks.training import Trained, train_both

MINUTES = 10
PATCHES = {"Dataset004_Hippocampus": [32, 48, 32], "brats2020_lesions": [32, 32, 32]}
"""Of MONAI's network, by dataset."""


def run(setting: Setting) -> list[Comparison]:
    """Each is trained once, so the ratio has no spread; the note has the interval over cases."""
    lines = []
    for name, patch in PATCHES.items():
        scratch = setting.scratch / name
        scratch.mkdir()
        trained = train_both(setting.data / name, patch, MINUTES, setting.peer, scratch)
        lines.append(
            Comparison(
                work=f"mean Dice after {MINUTES} min of training on {core_count()} cores, {name}",
                against="plain MONAI U-Net",
                ours=[trained.ours.mean_dice.mean],
                theirs=[trained.theirs.mean_dice.mean],
                unit="Dice",
                goal=1,
                note=_by_region(trained),
            )
        )
    return lines


def _by_region(trained: Trained) -> str:
    regions = [
        f"{of.region} {trained.ours.summary[of.region]['dice'].mean:.3f} and "
        f"{trained.theirs.summary[of.region]['dice'].mean:.3f}, {of.mean:+.3f} ({of.low:+.3f} to {of.high:+.3f})"
        for of in trained.differences
    ]
    return (
        f"fold 0, {len(trained.ours.cases)} held-back cases, one training each, {trained.iterations} steps of MONAI's; Dice of "
        f"ours and theirs, and the paired difference with its 95 % interval by patient: {'; '.join(regions)}"
    )


ROW = Row("training-minutes", run, quick=False, needs=list(PATCHES))
