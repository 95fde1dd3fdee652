"""Patches from nnU-Net's data loader with the transforms of its trainer, in one thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from nnunet_preprocessing import save_case
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from benchmarks.side_by_side.nnunet_plan import CONFIGURATION
from benchmarks.side_by_side.protocol import serve

ROTATION = (-np.pi / 6, np.pi / 6)
MIRROR_AXES = (0, 1, 2)
SCALES_READ = (0.85, 1.25)
"""For which scaling the trainer reads large enough a patch."""


class State(NamedTuple):
    loader: nnUNetDataLoader
    batches: int


def prepare(options: dict[str, Any]) -> State:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - it draws from the global generator
    Path(options["folder"]).mkdir()
    for case in options["cases"]:
        save_case(**case, folder=options["folder"], plans=options["plans"], dataset=options["dataset"])
    state = State(make_loader(options), options["batches"])
    next(state.loader)
    return state


def make_loader(options: dict[str, Any]) -> nnUNetDataLoader:
    """As nnUNetTrainer.get_dataloaders makes it; the targets of coarser resolutions are left out on both sides."""
    manager = PlansManager(options["plans"])
    configuration = manager.get_configuration(CONFIGURATION)
    labels = manager.get_label_manager(options["dataset"])
    patch = configuration.patch_size
    transforms = nnUNetTrainer.get_training_transforms(
        patch,
        ROTATION,
        deep_supervision_scales=None,
        mirror_axes=MIRROR_AXES,
        do_dummy_2d_data_aug=False,
        use_mask_for_norm=configuration.use_mask_for_norm,
        foreground_labels=labels.foreground_labels,
        regions=labels.foreground_regions if labels.has_regions else None,
    )
    return nnUNetDataLoader(
        nnUNetDatasetBlosc2(options["folder"]),
        configuration.batch_size,
        get_patch_size(patch, ROTATION, ROTATION, ROTATION, SCALES_READ),
        patch,
        labels,
        oversample_foreground_percent=options["foreground_share"],
        transforms=transforms,
    )


def repeat(state: State) -> dict[str, Any]:
    started = time.perf_counter()
    batches = [next(state.loader)["data"] for _ in range(state.batches)]
    seconds = time.perf_counter() - started
    drawn = torch.cat(batches)
    return {"seconds": seconds, "patches_per_s": len(drawn) / seconds, "deviation": float(drawn.std())}


if __name__ == "__main__":
    serve(prepare, repeat)
