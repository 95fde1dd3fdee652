"""From the network's logits to the written mask: resampling, labels, WT's largest component, and the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from autobrats.dataset.background import bounding_box
from autobrats.dataset.known_conventions import KNOWN
from autobrats.preprocessing.resampling import resampled_shape
from autobrats.preprocessing.transform import Placement
from benchmarks.side_by_side import nnunet_plan
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

STUDY = "brats_full/BraTS2021/BraTS2021_00002"
SPACINGS_MM = {"the same spacing": 1.0, "from 1.25 mm": 1.25}
SPECKS = 40
"""False positives far from the tumour, which the component step takes away."""


@dataclass(frozen=True)
class Logits:
    """A study's logits on the network's grid, as files.

    Attributes:
        single, half: float32, as our network gives them, and float16, as nnU-Net adds its windows up.
        placement: of the grid in the study.
    """

    single: Path
    half: Path
    placement: Placement


def run(setting: Setting) -> list[Comparison]:
    """A real study's mask as logits, on its own grid and on a coarser one."""
    study = setting.data / STUDY
    box, logits = _logits_in_box(study)
    return [
        _compare(setting, study, name, _saved(logits, box, spacing_mm, setting.scratch))
        for name, spacing_mm in SPACINGS_MM.items()
    ]


def _compare(setting: Setting, study: Path, name: str, logits: Logits) -> Comparison:
    placement, image = logits.placement, str(nnunet_plan.brats_images(study)[0])
    our_mask, their_mask = setting.scratch / "ours.nii.gz", setting.scratch / "theirs.nii.gz"
    plans = nnunet_plan.plans(patch=(128, 128, 128), batch=2)
    plans["configurations"][nnunet_plan.CONFIGURATION]["spacing"] = list(placement.spacing_mm)
    ours = {
        "logits": str(logits.single),
        "placement": placement.model_dump(),
        "image": image,
        "output": str(our_mask),
    }
    theirs = {
        "logits": str(logits.half),
        "plans": plans,
        "configuration": nnunet_plan.CONFIGURATION,
        "dataset": nnunet_plan.brats_dataset(),
        "properties": {
            "spacing": placement.study_spacing_mm,
            "shape_before_cropping": placement.study_shape,
            "bbox_used_for_cropping": placement.box,
            "shape_after_cropping_and_before_resampling": placement.box_shape,
        },
        "image": image,
        "output": str(their_mask),
    }
    with (
        Side(setting.ours, "ours_export", ours) as our_side,
        Side(setting.peer, "nnunet_export", theirs) as their_side,
    ):
        our, their = alternately(our_side.repeat, their_side.repeat, setting.repeats)
    return Comparison.of(
        our,
        their,
        memory="added_gib",
        work=f"export of a 240x240x155 study, three regions, {name}",
        against="nnU-Net",
        goal=3,
        memory_goal=4,
        agreement=_agreement(our_mask, their_mask),
        note="from logits in memory to a mask on the study's grid, of which only the largest component of WT stays; memory is "
        "what is added to the logits; ours interpolates probabilities, nnU-Net logits",
    )


def _logits_in_box(study: Path) -> tuple[tuple[tuple[int, int], ...], np.ndarray]:
    """Logits, float32 (region, z, y, x) inside the brain's box, that give the study's mask, blurred, noise and specks."""
    brain = np.logical_or.reduce([_read(path) != 0 for path in nnunet_plan.brats_images(study)])
    box = tuple((int(start), int(stop)) for start, stop in bounding_box(brain))
    inside = tuple(slice(*side) for side in box)
    labels = _read(nnunet_plan.brats_mask(study)).astype(np.uint8)[inside]
    regions = KNOWN["brats2017"].to_regions(labels).astype(np.float32)
    random = np.random.default_rng(0)
    specks = np.zeros(labels.shape, np.float32)
    far = np.argwhere(gaussian_filter(regions[0], 6) < 1e-3)
    specks[tuple(far[random.choice(len(far), SPECKS)].T)] = 1
    specks = 60 * gaussian_filter(specks, 1.5)
    noise = 4 * gaussian_filter(random.normal(size=labels.shape).astype(np.float32), 1.5)  # one, so that regions nest
    return box, 12 * (gaussian_filter(regions, (0, 0.7, 0.7, 0.7)) - 0.5) + noise + 12 * specks


def _saved(logits: np.ndarray, box: tuple[tuple[int, int], ...], spacing_mm: float, folder: Path) -> Logits:
    """The logits on a grid of that spacing."""
    box_shape = logits.shape[1:]
    shape = resampled_shape(box_shape, (1.0, 1.0, 1.0), (spacing_mm,) * 3)
    if shape != box_shape:
        logits = zoom(logits, (1, *np.divide(shape, box_shape)), order=1, grid_mode=True, mode="nearest")
    placement = Placement(
        study_shape=(155, 240, 240),
        study_spacing_mm=(1.0, 1.0, 1.0),
        box=box,
        shape=shape,
        spacing_mm=tuple(whole / own for whole, own in zip(box_shape, shape, strict=True)),
    )
    files = [folder / f"logits_{spacing_mm}_{kind}.npy" for kind in ("single", "half")]
    for path, kind in zip(files, (np.float32, np.float16), strict=True):
        np.save(path, logits.astype(kind))
    return Logits(*files, placement)


def _agreement(our_mask: Path, their_mask: Path) -> str:
    one, other = _read(our_mask), _read(their_mask)
    regions = zip(KNOWN["brats2017"].to_regions(one), KNOWN["brats2017"].to_regions(other), strict=True)
    dice = min(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)) for a, b in regions)
    return f"lowest Dice of a region {dice:.5f}, {np.count_nonzero(one != other)} voxels of {one.size} differ"


def _read(path: Path) -> np.ndarray:
    """The voxels, (z, y, x)."""
    return np.asarray(nibabel.load(path).dataobj).T


ROW = Row("export", run, needs=[STUDY])
