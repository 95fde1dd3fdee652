"""A training step on the CPU: forward pass, loss over four resolutions, backward pass, clipping, SGD."""

from __future__ import annotations

import numpy as np

from autobrats.devices import core_count
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

BATCH, QUICK_REPEATS = 2, 3


def run(setting: Setting) -> list[Comparison]:
    """autobrats' trainer beside nnUNetTrainer, on nnU-Net's BraTS network."""
    return [_one_size(setting, side) for side in ((64, 96) if setting.full else (64,))]


def _one_size(setting: Setting, side: int) -> Comparison:
    folder = setting.scratch / f"step_{side}"
    folder.mkdir()
    options = {"folder": str(folder), "patch": [side] * 3, "batch": BATCH, "threads": core_count()}
    repeats = setting.repeats if setting.full else min(setting.repeats, QUICK_REPEATS)
    with Side(setting.peer, "nnunet_step", options) as theirs, Side(setting.ours, "ours_step", options) as ours:
        our, their = alternately(ours.repeat, theirs.repeat, repeats)
    logits, expected = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    return Comparison.of(
        our,
        their,
        memory="peak_gib",
        work=f"training step of nnU-Net's BraTS network, batch {BATCH} of {side}^3, CPU",
        against="nnUNetTrainer.train_step",
        goal=1.5,
        agreement=f"before the first step, the largest difference of a logit {np.abs(logits - expected).max():.1e}; "
        f"its loss {our[0]['first_loss']:.4f} and {1 + their[0]['first_loss']:.4f}",
        note=f"autobrats chose the settings '{our[0]['settings']}'. 1 is added to nnU-Net's loss, which takes Dice away where "
        "ours adds 1 - Dice; the truth of the coarser resolutions is averaged in ours, of nearest voxels in nnU-Net's",
    )


ROW = Row("training-step", run)
