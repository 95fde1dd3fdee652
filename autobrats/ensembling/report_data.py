"""What the report shows of a workspace: training curves, the confusion of labels, and pictures of cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.volumes import read_case_mask, read_mask, read_study
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import CaseMetrics, Metrics
from autobrats.plan import Plan
from autobrats.reporting.overlay_figure import overlay_png
from autobrats.reporting.page.data import CasePanel, Confusion
from autobrats.reporting.score_tables import worst_cases
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

LabelsOf = Callable[[str], np.ndarray]
"""The predicted label map of a case: uint8, shape (z, y, x) of the study's canonical grid."""


def training_histories(folder: DatasetFolder) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The records of history.jsonl of every finished run, by configuration and fold, both sorted.

    Raises:
        UserError: if a history cannot be read.
    """
    histories: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in sorted(folder.runs.glob("*/fold_*")):
        run = RunDirectory(path)
        if run.is_finished and run.history_file.is_file():
            histories.setdefault(path.parent.name, {})[path.name.removeprefix("fold_")] = _read_history(run)
    return histories


def confusion_and_panels(
    dataset: Dataset, plan: Plan, metrics: Metrics, labels_of: LabelsOf, *, best: int = 2, worst: int = 4
) -> tuple[Confusion, list[CasePanel]]:
    """The confusion of labels over all scored cases, and pictures of the best and the worst of them.

    One case is in memory at a time.

    Args:
        dataset: where the images and masks are.
        plan: its modalities and convention.
        metrics: of the cases to count and to choose from.
        labels_of: what was predicted.
        best, worst: so many of each; a case is never both, and the worst go first where there are few.

    Raises:
        UserError: naming case and file, if an image or mask cannot be read.
        ValueError: if a prediction does not have its study's shape.
    """
    convention = plan.convention
    cases = {case.name: case for case in dataset.cases if case.name in metrics.cases and case.mask is not None}
    voxels = np.zeros((len(convention.labels) + 1,) * 2, np.int64)
    for name, case in cases.items():
        voxels += count_voxels(read_case_mask(case, plan.modalities), labels_of(name), convention, name)
    ordered = [poor for poor in worst_cases(metrics, len(metrics.cases)) if poor.case in cases]
    poorest = ordered[:worst]
    finest = ordered[len(poorest) :][::-1][:best]
    panels = [
        CasePanel(
            case=poor.case,
            kind="worst",
            dice=_dice(metrics.cases[poor.case]),
            reason=poor.reason,
            png=_picture(cases[poor.case], plan, labels_of),
        )
        for poor in poorest
    ]
    for fine in finest:
        dice = _dice(metrics.cases[fine.case])
        panels.append(
            CasePanel(
                case=fine.case,
                kind="best",
                dice=dice,
                reason=_praise(dice),
                png=_picture(cases[fine.case], plan, labels_of),
            )
        )
    return Confusion(["background", *convention.labels], voxels), panels


def count_voxels(
    reference: np.ndarray, prediction: np.ndarray, convention: Convention, case: str = "the case"
) -> np.ndarray:
    """Voxels by label of two label maps: int64, shape (reference, prediction), the background first.

    Integers that the convention does not have count as background.

    Raises:
        ValueError: if the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"{case}: prediction and reference differ in shape: {prediction.shape}, {reference.shape}")
    index = np.zeros(256, np.uint8)
    for position, integer in enumerate(convention.labels.values(), start=1):
        index[integer] = position
    size = len(convention.labels) + 1
    pairs = np.bincount(256 * reference.ravel().astype(np.uint16) + prediction.ravel(), minlength=256 * 256)
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (index[:, None], index[None, :]), pairs.reshape(256, 256))
    return counts


def _read_history(run: RunDirectory) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in run.history_file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{run.history_file} is not valid ({error}); delete it, or train its fold again.") from None


def _picture(case: Case, plan: Plan, labels_of: LabelsOf) -> bytes:
    assert case.mask is not None
    study = read_study(case, plan.modalities)
    present = zip(study.modalities, study.images, study.present, strict=True)
    return overlay_png(
        {modality: image for modality, image, is_there in present if is_there},
        plan.convention,
        study.spacing_mm,
        reference=read_mask(case.mask, study.geometry),
        prediction=labels_of(case.name),
    )


def _dice(case: CaseMetrics) -> dict[str, float]:
    return {region: dice for region, scores in case.regions.items() if (dice := scores.get("dice")) is not None}


def _praise(dice: dict[str, float]) -> str:
    lowest = min(dice, key=dice.__getitem__)
    return f"all regions agree with the reference, {lowest} least with {dice[lowest]:.3f}"
