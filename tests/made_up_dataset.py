"""Datasets and fingerprints as if they had been read: for decisions that need no voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.devices import Gpu, Machine
from autobrats.fingerprint.cases import CaseFingerprint, IntensityStatistics
from autobrats.fingerprint.dataset import DatasetFingerprint, summarise
from autobrats.planning.network_sizes import standard_network
from autobrats.planning.planner import Planner
from autobrats.planning.recipes import read_recipe
from autobrats.planning.speed import StepSpeed
from autobrats.planning.wishes import Wishes

GLIOMA = KNOWN["brats2017"]
PLAIN = plain_labels({"Anterior": 1, "Posterior": 2})
BRATS_MODALITIES = ("t1n", "t1c", "t2w", "t2f")


def made_up(
    n_cases: int = 10,
    shape: tuple[int, int, int] = (140, 170, 135),
    spacings_mm: list[tuple[float, float, float]] | None = None,
    modalities: tuple[str, ...] = BRATS_MODALITIES,
    convention: Convention = GLIOMA,
    bounded: bool = True,
    negative: bool = False,
    clinical: dict[str, str] | None = None,
) -> tuple[Dataset, DatasetFingerprint]:
    """A dataset of one case a patient, every one of ``shape``; the spacings take turns."""
    spacings = spacings_mm or [(1.0, 1.0, 1.0)]
    image = ImageFile(path=Path("/nowhere/image.nii.gz"))
    intensity = IntensityStatistics(
        mean=500, std=200, min=-90 if negative else 1, max=2000,
        percentile_00_5=-50 if negative else 5, median=480, percentile_99_5=1500,
    )  # fmt: skip
    cases, measured = [], {}
    for index in range(n_cases):
        name = f"case_{index:03d}"
        cases.append(
            Case(
                name=name,
                patient=f"patient_{index:03d}",
                images=dict.fromkeys(modalities, image),
                mask=image,
                clinical=clinical or {},
            )
        )
        z, y, x = shape
        voxels = dict.fromkeys(convention.regions, z * y * x // 50)
        measured[name] = CaseFingerprint(
            patient=f"patient_{index:03d}",
            shape=shape,
            spacing_mm=spacings[index % len(spacings)],
            brain_box=[[0, z], [0, y], [0, x]],
            brain_voxels=z * y * x // 2,
            is_bounded=bounded,
            intensities=dict.fromkeys(modalities, intensity),
            label_voxels=dict.fromkeys(convention.labels, z * y * x // 100),
            region_voxels=voxels,
            region_ml={region: count / 1000 for region, count in voxels.items()},
            lesions=dict.fromkeys(convention.regions, 1),
        )
    dataset = Dataset(
        name="made_up",
        root=Path("/nowhere"),
        layout="brats",
        modalities=list(modalities),
        convention=convention,
        cases=cases,
    )
    return dataset, summarise(measured)


def machine(ram_gib: float = 16.0, gpus: tuple[float, ...] = ()) -> Machine:
    return Machine(
        cores=2,
        ram_gib=ram_gib,
        available_ram_gib=ram_gib,
        gpus=[Gpu(name="made up", memory_gib=memory) for memory in gpus],
        free_disk_gib=100,
        platform="made up",
        processor="made up",
        python="3.11",
        torch="2.13",
    )


def speed(gflop_per_s: float = 50.0) -> StepSpeed:
    return StepSpeed(
        device="cpu",
        network=standard_network(),
        in_channels=4,
        out_channels=3,
        patch_size=(32, 32, 32),
        batch_size=2,
        seconds=0.1,
        gflop_per_s=gflop_per_s,
    )


def planner(dataset: Dataset, fingerprint: DatasetFingerprint, ram_gib: float = 16.0, **wishes: Any) -> Planner:
    wishes = {"device": torch.device("cpu"), **wishes}
    return Planner(dataset, fingerprint, machine(ram_gib), speed(), Wishes(**wishes), read_recipe("default"))
