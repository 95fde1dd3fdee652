"""A whole BraTS study, four modalities, from its files to a mask: the whole commands on the CPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from autobrats.devices import core_count
from benchmarks.side_by_side.command import measure_command
from benchmarks.side_by_side.comparison import Comparison, Figures, Row, Setting, alternately
from benchmarks.side_by_side.nnunet_plan import BRATS_LABELS, BRATS_SUFFIX, brats_images
from benchmarks.side_by_side.side import Side

PATCH = [128, 128, 128]
STUDIES = "brats_full/BraTS2021"
MOST_REPEATS_MIRRORED = 1


def run(setting: Setting, mirroring: bool) -> list[Comparison]:
    """autobrats_predict beside nnUNetv2_predict_from_modelfolder, with or without mirroring along all axes."""
    studies = sorted(path for path in (setting.data / STUDIES).iterdir() if path.is_dir())
    _write_models(setting, studies)
    given = setting.scratch / "images"
    given.mkdir()
    for channel, path in enumerate(brats_images(studies[0])):
        (given / f"{studies[0].name}_{channel:04}{BRATS_SUFFIX}").symlink_to(path)
    return [_compare(setting, studies[0], given, mirroring)]


def _write_models(setting: Setting, studies: list[Path]) -> None:
    """Both model folders, with the same weights."""
    options = {"weights": str(setting.scratch / "weights.pt"), "patch": PATCH, "threads": core_count()}
    theirs = {"model": str(_model(setting, "theirs")), "studies": [str(study) for study in studies]}
    with Side(setting.peer, "nnunet_model", {**options, **theirs}):
        pass
    with Side(setting.ours, "ours_model", {**options, "model": str(_model(setting, "ours"))}):
        pass


def _compare(setting: Setting, study: Path, given: Path, mirroring: bool) -> Comparison:
    outputs = {side: setting.scratch / f"{side}_masks_{mirroring}" for side in ("ours", "theirs")}

    def ours() -> Figures:
        options = [] if mirroring else ["--no-mirroring"]
        program, model = setting.ours.parent / "autobrats_predict", _model(setting, "ours")
        return measure_command([program, "-i", study, "-o", outputs["ours"], "-m", model, "--device", "cpu", *options])

    def theirs() -> Figures:
        options = [] if mirroring else ["--disable_tta"]
        program, model = setting.peer.parent / "nnUNetv2_predict_from_modelfolder", _model(setting, "theirs")
        command = [program, "-i", given, "-o", outputs["theirs"], "-m", model, "-f", "0", "-device", "cpu", *options]
        return measure_command(command)

    repeats = min(setting.repeats, MOST_REPEATS_MIRRORED) if mirroring else setting.repeats
    our, their = alternately(ours, theirs, repeats)
    masks = [_mask(folder / f"{study.name}{BRATS_SUFFIX}") for folder in outputs.values()]
    if mirroring:
        note = f"measured {repeats} time{'s'[: repeats != 1]}, because one of nnU-Net's runs takes so long"
    else:
        note = (
            "the first of ours also finds out the fastest backend and converts the network; the model folder keeps both"
        )
    return Comparison.of(
        our,
        their,
        memory="peak_gib",
        work=f"a 240x240x155 study, four modalities, predicted on CPU, mirroring {'on' if mirroring else 'off'}",
        against="nnUNetv2_predict_from_modelfolder",
        goal=4.0,
        memory_goal=2.0,
        agreement="Dice of the two masks: " + _dices(*masks),
        note=note,
    )


def _model(setting: Setting, side: str) -> Path:
    return setting.scratch / f"{side}_model"


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
