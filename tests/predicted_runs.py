"""Finished runs over generated studies: random weights, and out-of-fold predictions as good as a test wants them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from tiny_dataset import tiny_configuration

from autobrats.dataset.cases import Dataset
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_mask, read_volume
from autobrats.evaluation.metrics_file import build_metrics, write_metrics
from autobrats.evaluation.out_of_fold import score_probabilities
from autobrats.evaluation.probability_file import write_probabilities
from autobrats.files import read_json, read_model, write_json
from autobrats.networks.building import build_network
from autobrats.networks.output import channel_names
from autobrats.phantoms.folder import write_dataset
from autobrats.plan import Normalisation, Plan, Preprocessing
from autobrats.preprocessing.dataset import preprocess_dataset
from autobrats.preprocessing.store import CaseStore
from autobrats.training.checkpoints import save_weights
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

CASES, FOLDS = 11, 3
SHAPE = (20, 26, 22)
TOGETHER = 2
"""The first so many cases are of one patient."""


@dataclass(frozen=True)
class Quality:
    """How a configuration predicts.

    Attributes:
        shift: of the logits: below zero everything is predicted too small.
        noise: standard deviation of the logits.
        false_et: specks of one voxel of enhancing tumour in every case, outside the tumour; every configuration sees the
            same ones.
        blind: the half of the volume, along x, in which the tumour is given too little to be found.
        exact: whether the probabilities are the mask, before all of the above.
    """

    shift: float = 0.0
    noise: float = 0.5
    false_et: int = 0
    blind: str = ""
    exact: bool = False


def write_planned(path: Path, cases: int = CASES) -> DatasetFolder:
    """A planned and preprocessed dataset; its folds keep patients together."""
    write_dataset(path / "studies", cases, seed=5, shape=SHAPE)
    dataset, _ = read_dataset(path / "studies", name="tiny", layout=None, convention=None)
    first = dataset.cases[0].patient
    dataset = dataset.model_copy(
        update={
            "cases": [
                case.model_copy(update={"patient": first if place < TOGETHER else case.patient})
                for place, case in enumerate(dataset.cases)
            ]
        }
    )
    plan = Plan(
        dataset="tiny",
        modalities=dataset.modalities,
        convention=dataset.convention,
        preprocessing=Preprocessing(
            crop_to_brain=True,
            spacing_mm=(7.5, 7.5, 7.5),
            normalisation={modality: Normalisation() for modality in dataset.modalities},
        ),
        folds=FOLDS,
        configurations={"3d_fullres": tiny_configuration(dataset.modalities, "regions")},
    )
    folder = DatasetFolder(path / "workspace" / "tiny")
    patients = list(dict.fromkeys(case.patient for case in dataset.cases))
    held_back = [
        [case.name for case in dataset.cases if patients.index(case.patient) % FOLDS == fold] for fold in range(FOLDS)
    ]
    names = [case.name for case in dataset.cases]
    write_json(folder.dataset_file, dataset)
    write_json(folder.plan_file, plan)
    write_json(
        folder.splits_file, [{"train": [name for name in names if name not in val], "val": val} for val in held_back]
    )
    assert preprocess_dataset(dataset, plan, CaseStore(folder.preprocessed), workers=0) == []
    return folder


def copy_planned(folder: DatasetFolder, workspace: Path, configurations: tuple[str, ...]) -> DatasetFolder:
    """A copy of the planned dataset for a test that writes, with these configurations in its plan."""
    copy = DatasetFolder(workspace / folder.name)
    shutil.copytree(folder.path, copy.path)
    plan = read_model(copy.plan_file, Plan)
    only = plan.configurations["3d_fullres"]
    write_json(copy.plan_file, plan.model_copy(update={"configurations": dict.fromkeys(configurations, only)}))
    return copy


def finish_runs(folder: DatasetFolder, qualities: Mapping[str, Quality], folds: tuple[int, ...] = (0, 1, 2)) -> None:
    """Write the runs of every configuration in ``qualities``, as a training and its validation leave them."""
    for name, quality in qualities.items():
        for fold in folds:
            finish_run(folder, name, fold, quality)


def finish_run(folder: DatasetFolder, name: str, fold: int | str, quality: Quality = Quality()) -> RunDirectory:
    """Write one run; fold ``all`` has no validation."""
    plan, dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
    configuration = plan.configurations[name]
    run = RunDirectory(folder.run(name, fold))
    run.path.mkdir(parents=True)
    torch.manual_seed(sum(f"{name}{fold}".encode()))
    channels = channel_names(configuration.output, plan.convention)
    part = configuration.network
    network = build_network(part.name, part.options, len(configuration.modalities), len(channels))
    save_weights(run.weights_file, network, {})
    run.write_manifest(name=name, fold=str(fold), seed=0, configuration=configuration.model_dump(mode="json"))
    run.write_history([{"epoch": epoch, "loss": 1 / (1 + epoch)} for epoch in range(3)])
    if fold != "all":
        scores = {}
        for case_name in read_json(folder.splits_file)[int(fold)]["val"]:
            case = dataset.case(case_name)
            placement = CaseStore(folder.preprocessed).properties(case_name).placement
            predicted = predict(dataset, case_name, quality, sum(name.encode()))[(slice(None), *placement.slices)]
            where = (placement.box, placement.study_shape, placement.study_spacing_mm)
            write_probabilities(run.probability_file(case_name), predicted, *where)
            scores[case_name] = score_probabilities(
                case, plan.modalities, plan.convention, predicted, *where, int(fold)
            )
        write_metrics(run.metrics_file, build_metrics(name, scores))
    write_json(run.finished_file, {"configuration": name, "fold": str(fold), "iterations": 6, "seconds": 1.0})
    return run


def reference_of(dataset: Dataset, name: str) -> np.ndarray:
    """The labels of a case, (z, y, x)."""
    case = dataset.case(name)
    assert case.mask is not None
    return read_mask(case.mask, read_volume(case.images[dataset.modalities[0]]).geometry)


def predict(dataset: Dataset, name: str, quality: Quality, seed: int) -> np.ndarray:
    """Probabilities, uint8 (region, z, y, x) of the whole study, as good as ``quality`` says."""
    random = np.random.default_rng([seed, int(name[-5:])])
    regions = dataset.convention.to_regions(reference_of(dataset, name)).astype(np.float32)
    smooth = np.stack([gaussian_filter(region, 0.5) for region in regions])
    logits = (
        8 * ((regions if quality.exact else smooth) - 0.5)
        + quality.shift
        + quality.noise * random.normal(size=smooth.shape)
    )
    if quality.blind:
        middle = regions.shape[3] // 2
        half = slice(None, middle) if quality.blind == "left" else slice(middle, None)
        logits[..., half] = np.minimum(logits[..., half], -0.4)
    outside = np.argwhere(gaussian_filter(regions.max(0), 1.5) < 0.01)
    seen_by_all = np.random.default_rng(int(name[-5:]))
    for z, y, x in outside[seen_by_all.permutation(len(outside))[: quality.false_et]]:
        logits[:, z, y, x] = 2.0
    return np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)
