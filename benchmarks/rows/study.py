"""A whole BraTS study, four modalities, from its files to a mask: the whole commands on the CPU."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np

from autobrats.devices import core_count
from autobrats.inference.precision import IN_WORDS
from autobrats.inference.rounding_file import RoundingCheck
from benchmarks.side_by_side.command import measure_command
from benchmarks.side_by_side.comparison import Comparison, Figures, Row, Setting, alternately
from benchmarks.side_by_side.nnunet_plan import BRATS_LABELS, BRATS_SUFFIX, brats_images, brats_mask
from benchmarks.side_by_side.side import Side

PATCH = [128, 128, 128]
STUDIES = "brats_full/BraTS2021"
MOST_REPEATS_MIRRORED = 1
GOAL, MEMORY_GOAL = 4.0, 2.0


class Models(NamedTuple):
    """The model folders of both sides, and the file of what rounding changes in ours, calibrated on the first study."""

    ours: Path
    theirs: Path
    checks: Path


def run(setting: Setting, mirroring: bool) -> list[Comparison]:
    """autobrats_predict, in every precision of this processor, beside nnUNetv2_predict_from_modelfolder."""
    first, *others = sorted(path for path in (setting.data / STUDIES).iterdir() if path.is_dir())
    models = _models(setting, first, others)
    given = setting.scratch / "images"
    given.mkdir()
    for channel, path in enumerate(brats_images(first)):
        (given / f"{first.name}_{channel:04}{BRATS_SUFFIX}").symlink_to(path)
    return _compare(setting, models, first, given, mirroring)


def _models(setting: Setting, first: Path, others: list[Path]) -> Models:
    """Both sides' with the same weights; made by the first of the two rows."""
    folder = setting.shared / "models of study"
    models = Models(folder / "ours", folder / "theirs", folder / "checks.json")
    if models.checks.is_file():
        return models
    folder.mkdir(exist_ok=True)
    options = {"weights": str(folder / "weights.pt"), "patch": PATCH, "threads": core_count()}
    theirs = {"model": str(models.theirs), "studies": [str(study) for study in (first, *others)]}
    with Side(setting.peer, "nnunet_model", {**options, **theirs}):
        pass
    ours = {
        "model": str(models.ours),
        "studies": str(first.parent),
        "calibration": [first.name],
        "held_back": [study.name for study in others],
        "checks": str(models.checks),
    }
    with Side(setting.ours, "ours_model", {**options, **ours}):
        return models


def _compare(setting: Setting, models: Models, study: Path, given: Path, mirroring: bool) -> list[Comparison]:
    def masks(side: str) -> Path:
        return setting.scratch / f"masks of {side}"

    def ours(precision: str) -> Figures:
        program = setting.ours.parent / "autobrats_predict"
        options = ["--precision", precision, *([] if mirroring else ["--no-mirroring"])]
        return measure_command(
            [program, "-i", study, "-o", masks(precision), "-m", models.ours, "--device", "cpu", *options]
        )

    checks = {name: RoundingCheck(**check) for name, check in json.loads(models.checks.read_text()).items()}
    precisions = ["float32", *(name for name, check in checks.items() if check.passed)]

    def all_of_ours() -> dict[str, Figures]:
        return {precision: ours(precision) for precision in precisions}

    def theirs() -> Figures:
        program = setting.peer.parent / "nnUNetv2_predict_from_modelfolder"
        options = ["-f", "0", "-device", "cpu", *([] if mirroring else ["--disable_tta"])]
        return measure_command([program, "-i", given, "-o", masks("theirs"), "-m", models.theirs, *options])

    repeats = min(setting.repeats, MOST_REPEATS_MIRRORED) if mirroring else setting.repeats
    our, their = alternately(all_of_ours, theirs, repeats)
    expected = _mask(masks("theirs") / f"{study.name}{BRATS_SUFFIX}")
    reference = _mask(brats_mask(study))
    work = f"a 240x240x155 study, four modalities, predicted on CPU, mirroring {'on' if mirroring else 'off'}"
    notes = {
        "float32": f"the network was trained on the study for a few minutes: {_dices(expected, reference)} with its mask. "
        "In the first of ours the fastest backend is found out, and the model folder keeps it",
    }
    notes |= {
        name: f"{IN_WORDS[name]}: the mean Dice of {check.patients} other studies changes by {check.difference:+.4f} "
        f"({check.low:+.4f} to {check.high:+.4f})"
        for name, check in checks.items()
    }
    return [
        Comparison.of(
            [figures[precision] for figures in our],
            their,
            memory="peak_gib",
            work=work + ("" if precision == "float32" else f", {IN_WORDS[precision]} (a choice)"),
            against="nnUNetv2_predict_from_modelfolder",
            goal=GOAL,
            memory_goal=MEMORY_GOAL,
            agreement="Dice of the two masks: "
            + _dices(_mask(masks(precision) / f"{study.name}{BRATS_SUFFIX}"), expected),
            note=notes[precision],
        )
        for precision in precisions
    ]


def _mask(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj).astype(np.uint8)


def _dices(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Of every region, with the voxels of ours."""
    parts = []
    for region, integers in BRATS_LABELS.items():
        if region == "background":
            continue
        one, other = np.isin(ours, integers), np.isin(theirs, integers)
        parts.append(f"{region} {2 * (one & other).sum() / max(1, one.sum() + other.sum()):.4f} ({one.sum()} voxels)")
    return ", ".join(parts)


ROW = Row("study", partial(run, mirroring=False), quick=False, needs=[STUDIES])
MIRRORED_ROW = Row("study-mirrored", partial(run, mirroring=True), quick=False, needs=[STUDIES])
