"""A forward pass of nnU-Net's default BraTS network: 6 stages of 32 to 320 channels, four modalities, three regions."""

from __future__ import annotations

import numpy as np

from autobrats.devices import core_count
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately, column
from benchmarks.side_by_side.side import Side

QUICK_REPEATS = 3


def run(setting: Setting) -> list[Comparison]:
    """Eager PyTorch, as nnU-Net runs it, beside the backend that autobrats chooses."""
    return [_one_size(setting, side) for side in ((96, 128) if setting.full else (96,))]


def _one_size(setting: Setting, side: int) -> Comparison:
    folder = setting.scratch / f"forward_{side}"
    folder.mkdir()
    options = {"folder": str(folder), "patch": [side] * 3, "threads": core_count()}
    repeats = setting.repeats if setting.full else min(setting.repeats, QUICK_REPEATS)
    with (
        Side(setting.peer, "nnunet_forward", options) as theirs,
        Side(setting.ours, "ours_forward", options) as ours,
    ):
        our, their = alternately(ours.repeat, theirs.repeat, repeats)
    logits, expected = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    return Comparison(
        work=f"forward pass of nnU-Net's BraTS network, {side}^3 patch, CPU",
        against="nnU-Net (PyTorch eager)",
        ours=column(our, "seconds"),
        theirs=column(their, "seconds"),
        goal=3.5,
        our_gib=column(our, "peak_gib"),
        their_gib=column(their, "peak_gib"),
        agreement=f"largest difference of a logit {np.abs(logits - expected).max():.1e} "
        f"(logits up to {np.abs(expected).max():.1f})",
    )


ROW = Row("forward-pass", run)
