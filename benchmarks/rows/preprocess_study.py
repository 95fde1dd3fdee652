"""Preprocessing of one whole BraTS study: reading its files, cropping, z-scoring, storing."""

from __future__ import annotations

import blosc2
import numpy as np

from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

STUDY = "brats_full/BraTS2021/BraTS2021_00002"
PATCH = [128, 128, 128]


def run(setting: Setting) -> list[Comparison]:
    """In a process that has done it once, so that no import is in the time."""
    study = setting.data / STUDY
    folders = {side: setting.scratch / side for side in ("ours", "theirs")}

    def options(side: str) -> dict[str, object]:
        return {"study": str(study), "folder": str(folders[side]), "patch": PATCH}

    with (
        Side(setting.peer, "nnunet_preprocess", options("theirs")) as theirs,
        Side(setting.ours, "ours_preprocess", options("ours")) as ours,
    ):
        our, their = alternately(ours.repeat, theirs.repeat, setting.repeats)
    stored, expected = (blosc2.open(str(folder / f"{study.name}.b2nd"), mode="r")[:] for folder in folders.values())
    return [
        Comparison.of(
            our,
            their,
            memory="peak_gib",
            work="read, preprocess and store a 240x240x155 study, four modalities and mask",
            against="nnU-Net's DefaultPreprocessor",
            goal=3.0,
            agreement=_agreement(stored, expected),
        )
    ]


def _agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    if ours.shape != theirs.shape:
        return f"the brain's boxes differ: {ours.shape} and {theirs.shape}"
    both = (ours != 0) & (theirs != 0)
    largest = np.abs(ours.astype(np.float32) - theirs)[both].max()
    rounding = np.spacing(np.abs(ours).max()) / 2
    return (
        f"largest difference of a z-score {largest:.1e}, where storing ours as {ours.dtype} rounds by {rounding:.1e}; "
        f"{((ours != 0) != (theirs != 0)).mean():.1e} of the box is background on one side alone"
    )


ROW = Row("preprocess-study", run, needs=[STUDY])
