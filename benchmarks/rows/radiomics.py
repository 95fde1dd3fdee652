"""The 1022 radiomic features of a study: ours beside plain calls of pyradiomics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_case_mask, read_study
from autobrats.survival.radiomics.feature_sets import TUMOUR_PARTS
from benchmarks.radiomic_features import Pyradiomics, largest_difference
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

STUDIES = "brats_full/BraTS2021"


def run(setting: Setting) -> list[Comparison]:
    """One study; with --full all three."""
    dataset, _ = read_dataset(setting.data / STUDIES, name="radiomics")
    cases = dataset.cases if setting.full else dataset.cases[:1]
    return [_compare(setting, dataset, case) for case in cases]


def _compare(setting: Setting, dataset: Dataset, case: Case) -> Comparison:
    ours, theirs, voxels = _options(dataset, case, setting.scratch / case.name)
    with (
        Side(setting.ours, "ours_radiomics", ours) as our_side,
        Side(setting.peer, "pyradiomics_features", theirs) as their_side,
    ):
        our, their = alternately(our_side.repeat, their_side.repeat, setting.repeats)
    worst, feature = largest_difference(our[-1]["values"], their[-1]["values"])
    return Comparison.of(
        our,
        their,
        memory="added_gib",
        work=f"{len(our[-1]['values'])} radiomic features of {case.name}, {voxels} tumour voxels",
        against="pyradiomics",
        goal=5,
        agreement=f"largest relative difference: {worst:.1e} ({feature})",
        note="pyradiomics is given normalised images and finished masks, ours makes them too; memory is what is added to the "
        "study",
    )


def _options(dataset: Dataset, case: Case, folder: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What both sides are given, as files, and the voxels of the tumour."""
    study, labels = read_study(case, dataset.modalities), read_case_mask(case, dataset.modalities)
    arrays = {
        "images": dict(zip(study.modalities, study.images, strict=True)),
        "masks": {part: labels == dataset.convention.labels[part] for part in TUMOUR_PARTS},
    }
    theirs = Pyradiomics(arrays["images"], arrays["masks"], study.spacing_mm).save(folder)
    ours: dict[str, Any] = {"spacing_mm": study.spacing_mm}
    for kind, by_name in arrays.items():
        ours[kind] = {name: str(folder / f"{name}.npy") for name in by_name}
        for name, array in by_name.items():
            np.save(folder / f"{name}.npy", array)
    return ours, theirs, int(np.count_nonzero(labels))


ROW = Row("radiomics", run, needs=[STUDIES])
