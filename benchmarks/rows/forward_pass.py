"""A forward pass of nnU-Net's default BraTS network: 6 stages of 32 to 320 channels, four modalities, three regions."""

from __future__ import annotations

import numpy as np

from autobrats.devices import core_count
from autobrats.inference.backends import openvino_computes_bfloat16
from autobrats.inference.precision import IN_WORDS, Precision
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

QUICK_REPEATS = 3


def run(setting: Setting) -> list[Comparison]:
    """Eager PyTorch, as nnU-Net runs it, beside the backend that autobrats chooses, and beside bfloat16 and 8 bits."""
    precisions: list[Precision] = ["float32", *(["bf16"] if openvino_computes_bfloat16() else []), "int8"]
    sides = (96, 128) if setting.full else (96,)
    return [_one_size(setting, side, precision) for side in sides for precision in precisions]


def _one_size(setting: Setting, side: int, precision: Precision) -> Comparison:
    folder = setting.scratch / f"forward_{side}_{precision}"
    folder.mkdir()
    options = {"folder": str(folder), "patch": [side] * 3, "threads": core_count(), "precision": precision}
    repeats = setting.repeats if setting.full else min(setting.repeats, QUICK_REPEATS)
    with (
        Side(setting.peer, "nnunet_forward", options) as theirs,
        Side(setting.ours, "ours_forward", options) as ours,
    ):
        our, their = alternately(ours.repeat, theirs.repeat, repeats)
    logits, expected = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    difference = logits - expected
    if precision == "float32":
        agreement = f"largest difference of a logit {np.abs(difference).max():.1e}"
    else:
        agreement = f"standard deviation of the difference of a logit {difference.std():.2g}"
    return Comparison.of(
        our,
        their,
        memory="peak_gib",
        work=f"forward pass of nnU-Net's BraTS network, {side}^3 patch, CPU"
        + ("" if precision == "float32" else f", {IN_WORDS[precision]} (a choice)"),
        against="nnU-Net (PyTorch eager)",
        goal=3.5 if precision == "float32" else None,
        agreement=f"{agreement} (of all logits {expected.std():.2g}, the largest {np.abs(expected).max():.1f})",
    )


ROW = Row("forward-pass", run)
