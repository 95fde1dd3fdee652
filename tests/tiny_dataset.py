"""A planned and preprocessed dataset of generated studies, small enough to train in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.known_conventions import plain_labels
from autobrats.dataset.reading import read_dataset
from autobrats.files import write_json
from autobrats.phantoms.folder import write_dataset
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
from autobrats.preprocessing.dataset import preprocess_dataset
from autobrats.preprocessing.store import CaseStore
from autobrats.workspace import DatasetFolder

CASES, FOLDS = 6, 3


def tiny_configuration(modalities: list[str], output: str, **changes: Any) -> Configuration:
    """Six iterations of a network of two stages; ``changes`` to its values."""
    values: dict[str, Any] = {
        "recipe": "default",
        "modalities": modalities,
        "output": output,
        "pool": [PatchBatch(patch_size=(16, 16, 16), batch_size=2), PatchBatch(patch_size=(8, 16, 16), batch_size=1)],
        "network": Part(
            name="residual_encoder_unet",
            options={"channels": [4, 6, 8], "blocks": [1, 1, 1], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]},
        ),
        "loss": Part(name="dice_cross_entropy"),
        "region_weights": {},
        "sampler": Part(name="foreground"),
        "augmentation": Augmentation(rotation_probability=0.5, scaling_probability=0.5),
        "optimiser": Part(name="adamw", options={"learning_rate": 1e-2}),
        "schedule": Part(name="polynomial"),
        "trainer": Part(name="trainer"),
        "training": Training(iterations=6, iterations_per_epoch=3, average_decay=0.9, quick_validation_cases=2),
        "inference": Inference(patch_size=(16, 16, 16), mirror_axes=[2]),
    }
    return Configuration(**{**values, **changes})


def write_tiny_workspace(path: Path, plain: bool = False) -> DatasetFolder:
    """A workspace with one dataset: BraTS regions of four modalities, or, if plain, labels of one modality."""
    write_dataset(path / "studies", CASES, seed=3, shape=(20, 26, 22))
    dataset, faults = read_dataset(path / "studies", name="tiny", layout=None, convention=None)
    assert not [fault for fault in faults if fault.severity == "error"]
    if plain:
        dataset = _plain(dataset)
    folder = DatasetFolder(path / "workspace" / "tiny")
    output = "labels" if plain else "regions"
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
        configurations={"3d_fullres": tiny_configuration(dataset.modalities, output)},
    )
    names = [case.name for case in dataset.cases]
    splits = [
        {"train": [n for i, n in enumerate(names) if i % FOLDS != fold], "val": names[fold::FOLDS]}
        for fold in range(FOLDS)
    ]
    write_json(folder.dataset_file, dataset)
    write_json(folder.plan_file, plan)
    write_json(folder.splits_file, splits)
    assert preprocess_dataset(dataset, plan, CaseStore(folder.preprocessed), workers=0) == []
    return folder


def _plain(dataset: Dataset) -> Dataset:
    cases = [
        Case(name=case.name, patient=case.patient, images={"t2f": case.images["t2f"]}, mask=case.mask)
        for case in dataset.cases
    ]
    convention = plain_labels({"necrosis": 1, "oedema": 2, "enhancing": 4})
    return dataset.model_copy(update={"cases": cases, "modalities": ["t2f"], "convention": convention})
