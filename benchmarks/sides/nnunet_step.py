"""A training step of nnU-Net's own trainer; its first weights, batch and logits are left in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from benchmarks.side_by_side.nnunet_plan import CONFIGURATION, brats_dataset, plans
from benchmarks.side_by_side.protocol import measured, serve

SHARES = (0.1, 0.05, 0.02)
"""Of the voxels, in WT, TC and ET."""


class State(NamedTuple):
    trainer: nnUNetTrainer
    batch: dict[str, Any]
    first_loss: float


def prepare(options: dict[str, Any]) -> State:
    folder, patch, batch = Path(options["folder"]), options["patch"], options["batch"]
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    trainer = make_trainer(folder, patch, batch)
    images, regions = torch.randn(batch, 4, *patch), nested_regions(batch, patch)
    torch.save(trainer.network.state_dict(), folder / "weights.pt")
    np.save(folder / "images.npy", images.numpy())
    np.save(folder / "regions.npy", regions.numpy())
    with torch.no_grad():
        np.save(folder / "theirs.npy", trainer.network(images)[0].numpy())
    downsample = DownsampleSegForDSTransform(trainer._get_deep_supervision_scales())
    scales = zip(*(downsample(segmentation=sample.bool())["segmentation"] for sample in regions), strict=True)
    given = {"data": images, "target": [torch.stack(samples) for samples in scales]}
    return State(trainer, given, float(trainer.train_step(given)["loss"]))


def make_trainer(folder: Path, patch: list[int], batch: int) -> nnUNetTrainer:
    """In training mode, with random weights, on the CPU."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = str(folder / name)
    plan = plans(patch, batch)
    stored = (
        folder / "nnUNet_preprocessed" / plan["dataset_name"] / plan["configurations"][CONFIGURATION]["data_identifier"]
    )
    stored.mkdir(parents=True)
    (stored / "case.b2nd").touch()  # by the ending it knows how cases are stored
    trainer = nnUNetTrainer(plan | {"continue_training": False}, CONFIGURATION, 0, brats_dataset(), torch.device("cpu"))
    trainer.initialize()
    trainer.network.train()
    return trainer


def nested_regions(batch: int, patch: list[int]) -> Tensor:
    """Blobs of WT, in them TC, in them ET: uint8, (batch, region, z, y, x)."""
    coarse = torch.randn(batch, 1, *(side // 16 for side in patch))
    field = torch.nn.functional.interpolate(coarse, size=patch, mode="trilinear")
    limits = torch.quantile(field[:, :, ::2, ::2, ::2], torch.tensor([1 - share for share in SHARES]))
    return (field > limits[None, :, None, None, None]).to(torch.uint8)


def repeat(state: State) -> dict[str, Any]:
    return measured(lambda: state.trainer.train_step(state.batch))[1] | {"first_loss": state.first_loss}


if __name__ == "__main__":
    serve(prepare, repeat)
