"""Augmented patches a second from the loader, on one core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately, column
from benchmarks.side_by_side.nnunet_plan import brats_dataset, brats_images, brats_mask, dataset, plans
from benchmarks.side_by_side.side import Side

HIPPOCAMPUS, BRATS = "Dataset004_Hippocampus", "brats_full/BraTS2021"
HIPPOCAMPUS_CASES = 20
FOREGROUND_SHARE = 0.33
"""Of the patches that are drawn around a labelled voxel; nnU-Net rounds it to whole patches of a batch."""


@dataclass(frozen=True)
class Work:
    """Batches of patches from preprocessed cases.

    Attributes:
        source: folder of the cases.
        cases: name, images and mask of each.
        patch: voxels along (z, y, x).
        batch: patches in a batch.
        batches: in one repetition.
        plans, dataset: nnU-Net's.
    """

    source: Path
    cases: list[dict[str, Any]]
    patch: tuple[int, int, int]
    batch: int
    batches: int
    plans: dict[str, Any]
    dataset: dict[str, Any]


def run(setting: Setting) -> list[Comparison]:
    """autobrats' BatchLoader beside nnU-Net's data loader, both with the transforms of nnU-Net's trainer."""
    works = [_hippocampus(setting.data / HIPPOCAMPUS)]
    if setting.full and (setting.data / BRATS).is_dir():
        works.append(_brats(setting.data / BRATS))
    return [_compare(setting, work) for work in works]


def _hippocampus(source: Path) -> Work:
    cases = [
        {"name": mask.name.removesuffix(".nii.gz"), "mask": str(mask)}
        for mask in sorted((source / "labelsTr").glob("*.nii.gz"))[:HIPPOCAMPUS_CASES]
    ]
    for case in cases:
        case["images"] = [str(source / "imagesTr" / f"{case['name']}_0000.nii.gz")]
    patch, batch = (40, 56, 40), 7
    meaning = dataset({"0": "MRI"}, {"background": 0, "Anterior": 1, "Posterior": 2})
    return Work(source, cases, patch, batch, 12, plans(patch, batch, channels=1, within_brain=False), meaning)


def _brats(source: Path) -> Work:
    cases = [
        {"name": study.name, "images": [str(path) for path in brats_images(study)], "mask": str(brats_mask(study))}
        for study in sorted(path for path in source.iterdir() if path.is_dir())
    ]
    patch, batch = (128, 128, 128), 2
    return Work(source, cases, patch, batch, 8, plans(patch, batch), brats_dataset())


def _compare(setting: Setting, work: Work) -> Comparison:
    folders = {side: setting.scratch / f"{side}_{work.source.name}" for side in ("ours", "theirs")}
    same = {"batches": work.batches, "foreground_share": FOREGROUND_SHARE}
    ours_only = {"source": str(work.source), "names": [case["name"] for case in work.cases]}
    ours_only |= {"patch": work.patch, "batch": work.batch}
    theirs_only = {"cases": work.cases, "plans": work.plans, "dataset": work.dataset}
    with (
        Side(setting.peer, "nnunet_loader", {**same, **theirs_only, "folder": str(folders["theirs"])}) as theirs,
        Side(setting.ours, "ours_loader", {**same, **ours_only, "folder": str(folders["ours"])}) as ours,
    ):
        our, their = alternately(ours.repeat, theirs.repeat, setting.repeats)
    z, y, x = work.patch
    deviations = [mean(column(figures, "deviation")) for figures in (our, their)]
    return Comparison.of(
        our,
        their,
        figure="patches_per_s",
        work=f"augmented patches of {z}x{y}x{x}, {len(work.cases)} cases of {work.source.name}, one core",
        against="nnU-Net's data loader and transforms",
        unit="patches/s",
        goal=2.0,
        agreement=f"standard deviation of the drawn voxels {deviations[0]:.2f} and {deviations[1]:.2f}",
        note="every transform acts on a modality as often as in nnU-Net's trainer; ours keeps the cases in memory where "
        "they fit, nnU-Net maps its files into memory",
    )


ROW = Row("loader", run, needs=[HIPPOCAMPUS])
