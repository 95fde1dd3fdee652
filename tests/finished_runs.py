"""Small finished runs in a workspace, as autobrats_train leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.conventions import Convention
from autobrats.evaluation.metrics_file import build_metrics, case_metrics, write_metrics
from autobrats.files import write_json
from autobrats.plan import (
    Augmentation,
    Configuration,
    Inference,
    Normalisation,
    Part,
    PatchBatch,
    Plan,
    Preprocessing,
    Training,
)
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

BRATS = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)
MODALITIES = ["t1n", "t1c", "t2w", "t2f"]
CASES_A_FOLD = 4


def configuration(width: int = 8) -> Configuration:
    return Configuration(
        recipe="default",
        modalities=MODALITIES,
        output="regions",
        pool=[PatchBatch(patch_size=(16, 16, 16), batch_size=2)],
        network=Part(name="residual_encoder_unet", options={"widths": [width, 2 * width]}),
        loss=Part(name="dice_cross_entropy"),
        region_weights={"WT": 1.0, "TC": 1.0, "ET": 1.0},
        sampler=Part(name="foreground"),
        augmentation=Augmentation(),
        optimiser=Part(name="adamw"),
        schedule=Part(name="polynomial"),
        trainer=Part(name="trainer"),
        training=Training(iterations=100, iterations_per_epoch=10),
        inference=Inference(patch_size=(16, 16, 16)),
    )


def write_workspace(path: Path, configurations: tuple[str, ...] = ("3d_fullres",), n_folds: int = 5) -> DatasetFolder:
    """A planned dataset of ``CASES_A_FOLD`` cases a fold, two cases a patient."""
    folder = DatasetFolder(path / "gliomas")
    names = [name for fold in range(n_folds) for name in fold_cases(fold)]
    image = ImageFile(path=Path("/nowhere/image.nii.gz"))
    cases = [
        Case(name=name, patient=patient(name), images=dict.fromkeys(MODALITIES, image), mask=image) for name in names
    ]
    write_json(
        folder.dataset_file,
        Dataset(name="gliomas", root=path, layout="brats", modalities=MODALITIES, convention=BRATS, cases=cases),
    )
    plan = Plan(
        dataset="gliomas",
        modalities=MODALITIES,
        convention=BRATS,
        preprocessing=Preprocessing(
            crop_to_brain=True,
            spacing_mm=(1.0, 1.0, 1.0),
            normalisation={modality: Normalisation() for modality in MODALITIES},
        ),
        folds=n_folds,
        configurations={name: configuration() for name in configurations},
    )
    write_json(folder.plan_file, plan)
    splits = [
        {"train": [name for name in names if name not in fold_cases(fold)], "val": fold_cases(fold)}
        for fold in range(n_folds)
    ]
    write_json(folder.splits_file, splits)
    return folder


def fold_cases(fold: int) -> list[str]:
    return [f"case_{fold}{index}" for index in range(CASES_A_FOLD)]


def patient(case: str) -> str:
    return f"patient_{int(case[-2:]) // 2}"


def finish_run(
    folder: DatasetFolder,
    name: str,
    fold: int | str,
    dice: float = 0.8,
    *,
    spread: float = 0.02,
    missing_t1c: float | None = None,
    finished: bool = True,
    width: int = 8,
) -> RunDirectory:
    """Write what a training leaves behind; the cases' Dice scatter around ``dice`` (TC lower, ET lowest)."""
    run = RunDirectory(folder.run(name, fold))
    seed = [0 if fold == "all" else int(fold), len(name)]
    random = np.random.default_rng(seed)
    run.path.mkdir(parents=True)
    save_file({"weight": random.normal(size=(4, 4)).astype(np.float32)}, str(run.weights_file))
    described = configuration(width).model_dump(mode="json", exclude={"training", "inference", "why"})
    run.write_manifest(name=name, fold=str(fold), seed=0, configuration=described)
    if fold != "all":
        scores = {}
        for case in fold_cases(int(fold)):
            values = dict(zip(BRATS.regions, dice - np.array([0, 0.1, 0.2]) + random.normal(0, spread, 3), strict=True))
            scores[case] = case_metrics(
                patient(case),
                {
                    region: {"dice": value, "hd95": 10 * (1 - value), "sensitivity": value, "precision": value}
                    for region, value in values.items()
                },
                int(fold),
            )
        write_metrics(run.metrics_file, build_metrics(name, scores))
        if missing_t1c is not None:
            without = {"t1n": 0.79, "t1c": missing_t1c, "t2w": 0.78, "t2f": 0.6}
            write_json(run.missing_modalities_file, {"cases": CASES_A_FOLD, "complete": 0.8, "without": without})
    if finished:
        write_json(run.finished_file, {"configuration": name, "fold": str(fold), "iterations": 100, "seconds": 1.0})
    return run
