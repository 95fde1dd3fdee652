"""Planning and preprocessing of a whole dataset of the Decathlon into fresh folders: the whole commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import blosc2

from benchmarks.side_by_side.command import measure_command
from benchmarks.side_by_side.comparison import Comparison, Figures, Row, Setting, alternately

DATASET = "Dataset004_Hippocampus"
MAX_HOURS = "0.17"
"""What autobrats plans for; its preprocessing does not depend on it."""


def run(setting: Setting) -> list[Comparison]:
    """autobrats_plan beside nnUNetv2_plan_and_preprocess of the same configuration, 3d_fullres."""
    raw, workspace, preprocessed = (setting.scratch / name for name in ("raw", "workspace", "preprocessed"))
    raw.mkdir()
    (raw / DATASET).symlink_to(setting.data / DATASET)
    folders = {"nnUNet_raw": str(raw), "nnUNet_preprocessed": str(preprocessed), "nnUNet_results": str(setting.scratch)}

    def ours() -> Figures:
        shutil.rmtree(workspace, ignore_errors=True)
        program = setting.ours.parent / "autobrats_plan"
        return measure_command([program, "-i", setting.data / DATASET, "-w", workspace, "--max-hours", MAX_HOURS])

    def theirs() -> Figures:
        shutil.rmtree(preprocessed, ignore_errors=True)
        program = setting.peer.parent / "nnUNetv2_plan_and_preprocess"
        return measure_command([program, "-d", "4", "-c", "3d_fullres"], folders)

    our, their = alternately(ours, theirs, setting.repeats)
    shapes = _shapes(workspace / DATASET / "preprocessed", "_mask")
    expected = _shapes(preprocessed / DATASET / "nnUNetPlans_3d_fullres", "_seg")
    same = sum(shapes.get(name) == shape for name, shape in expected.items())
    return [
        Comparison.of(
            our,
            their,
            memory="peak_gib",
            work=f"plan and preprocess {DATASET}",
            against="nnUNetv2_plan_and_preprocess",
            goal=4.0,
            memory_goal=2.0,
            agreement=f"{len(shapes)} and {len(expected)} cases stored, {same} of the same shape",
            note="ours also checks every case for faults, and measures a training step to plan its time",
        )
    ]


def _shapes(folder: Path, mask_suffix: str) -> dict[str, tuple[int, ...]]:
    """The shapes (modality, z, y, x) of the stored images, by case."""
    images = (path for path in folder.glob("*.b2nd") if not path.stem.endswith(mask_suffix))
    return {path.stem: tuple(blosc2.open(str(path), mode="r").shape) for path in images}


ROW = Row("plan-and-preprocess", run, quick=False, needs=[DATASET])
