"""A training step on the CPU: forward pass, loss over four resolutions, backward pass, clipping, SGD."""

from __future__ import annotations

import numpy as np
import torch

from autobrats.devices import computes_bfloat16, core_count
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

BATCH, QUICK_REPEATS = 2, 3


def run(setting: Setting) -> list[Comparison]:
    """autobrats' trainer, as it trains on this CPU and in float32, beside nnUNetTrainer, on nnU-Net's BraTS network."""
    sides = (64, 96) if setting.full else (64,)
    of_this_cpu = (True, False) if computes_bfloat16(torch.device("cpu")) else (False,)
    return [_one_size(setting, side, mixed) for side in sides for mixed in of_this_cpu]


def _one_size(setting: Setting, side: int, mixed_precision: bool) -> Comparison:
    folder = setting.scratch / f"step_{side}_{mixed_precision}"
    folder.mkdir()
    options = {
        "folder": str(folder),
        "patch": [side] * 3,
        "batch": BATCH,
        "threads": core_count(),
        "mixed_precision": mixed_precision,
    }
    repeats = setting.repeats if setting.full else min(setting.repeats, QUICK_REPEATS)
    with Side(setting.peer, "nnunet_step", options) as theirs, Side(setting.ours, "ours_step", options) as ours:
        our, their = alternately(ours.repeat, theirs.repeat, repeats)
    logits, expected = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    return Comparison.of(
        our,
        their,
        memory="peak_gib",
        work=f"training step of nnU-Net's BraTS network, batch {BATCH} of {side}^3, CPU"
        + (", bfloat16" if mixed_precision else ", float32"),
        against="nnUNetTrainer.train_step",
        goal=1.5,
        agreement=f"before the first step, in float32, logits differ by at most {np.abs(logits - expected).max():.1e}; "
        f"its loss {our[0]['first_loss']:.4f} and {1 + their[0]['first_loss']:.4f}",
        note=f"autobrats chose the settings '{our[0]['settings']}'. 1 is added to nnU-Net's loss, which takes Dice away where "
        "ours adds 1 - Dice; the truth of the coarser resolutions is averaged in ours, of nearest voxels in nnU-Net's",
    )


ROW = Row("training-step", run)
