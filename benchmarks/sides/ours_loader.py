"""Patches from autobrats' batch loader with the transforms of nnU-Net's trainer, in one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ours_preprocessing import dataset_and_plan, job

from autobrats.loading.batches import Batch, BatchLoader, ChannelTable
from autobrats.loading.foreground_sampler import ForegroundSampler
from autobrats.loading.training_cases import open_cases
from autobrats.plan import Augmentation
from autobrats.preprocessing.dataset import preprocess_case
from autobrats.preprocessing.store import CaseStore
from benchmarks.side_by_side.nnunet_plan import CONFIGURATION
from benchmarks.side_by_side.protocol import serve

LIKE_NNUNET = Augmentation(
    mirror_axes=[0, 1, 2],
    rotation_probability=0.2,
    rotation_degrees=30.0,
    scaling_probability=0.2,
    scaling_range=(0.7, 1.4),
    noise_probability=0.1,
    noise_std=(0.0, 0.1),
    blur_probability=0.2 * 0.5,
    brightness_probability=0.15,
    contrast_probability=0.15,
    low_resolution_probability=0.25 * 0.5,
    gamma_probability=0.1 + 0.3,
    modality_dropout_probability=0.0,
)
"""How often each transform acts on a modality in nnUNetTrainer.get_training_transforms; its two of gamma are one here."""


class State(NamedTuple):
    batches: Iterator[Batch]
    count: int


def prepare(options: dict[str, Any]) -> State:
    torch.set_num_threads(1)
    store = CaseStore(Path(options["folder"]))
    dataset, plan = dataset_and_plan(Path(options["source"]), options["patch"], options["batch"], LIKE_NNUNET)
    for name in options["names"]:
        preprocess_case(job(dataset.case(name), plan, store.folder))
    configuration = plan.configurations[CONFIGURATION]
    loader = BatchLoader(
        open_cases(store, options["names"]),
        configuration.pool,
        ForegroundSampler(options["foreground_share"]),
        configuration.augmentation,
        ChannelTable(configuration.output, plan.convention),
        plan.preprocessing.spacing_mm,
        0,
        torch.device("cpu"),
        threads=0,
    )
    state = State(loader.batches(0), options["batches"])
    next(state.batches)
    return state


def repeat(state: State) -> dict[str, Any]:
    started = time.perf_counter()
    batches = [next(state.batches).images for _ in range(state.count)]
    seconds = time.perf_counter() - started
    drawn = torch.cat(batches)
    return {"seconds": seconds, "patches_per_s": len(drawn) / seconds, "deviation": float(drawn.std())}


if __name__ == "__main__":
    serve(prepare, repeat)
