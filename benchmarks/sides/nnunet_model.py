"""A model folder of nnU-Net whose network finds tumours; its weights are left as a state dict as well.

The network is trained for a few minutes on the studies themselves: its logits are as steep at the tumour's border as those
of a trained network are, and its masks are those of tumours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from nnunet_network import brats_network
from nnunet_preprocessing import run_case
from torch import Tensor, nn

from benchmarks.side_by_side.nnunet_plan import BRATS_LABELS, CONFIGURATION, brats_dataset, plans, write
from benchmarks.side_by_side.protocol import serve

STEPS, SIDE, LEARNING_RATE = 120, 64, 1e-3
"""Of the training: patches of 64^3, one in a step, every other one about a voxel of the tumour, else about one of the brain."""


def prepare(options: dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    network = brats_network(deep_supervision=False)
    train(network, [run_case(Path(study), options["patch"]) for study in options["studies"]])
    torch.save(network.state_dict(), options["weights"])
    write_model_folder(Path(options["model"]), network, options["patch"])


def train(network: nn.Module, cases: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Cross-entropy and Dice of the three regions, with AdamW.

    Args:
        cases: images, float32 (modality, z, y, x), and labels, (z, y, x).
    """
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    for step in range(STEPS):
        images, labels = cases[step % len(cases)]
        centres = np.argwhere(labels > 0 if step % 2 else labels >= 0)  # nnU-Net marks what is outside the brain by -1
        images, regions = a_patch(images, labels, random.choice(centres) - random.integers(0, SIDE, 3))
        logits = network(images)
        probabilities, axes = logits.sigmoid(), (2, 3, 4)
        overlap = (probabilities * regions).sum(axes) / (probabilities + regions).sum(axes).clamp(min=1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, regions) + 1 - 2 * overlap.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def a_patch(images: np.ndarray, labels: np.ndarray, start: np.ndarray) -> tuple[Tensor, Tensor]:
    """The patch from a voxel on, (1, modality, z, y, x), with its regions, (1, region, z, y, x)."""
    box = [[first, first + SIDE] for first in start]
    labels = crop_and_pad_nd(labels, box, 0)
    regions = np.stack([np.isin(labels, integers) for integers in BRATS_LABELS.values() if integers])
    return torch.from_numpy(crop_and_pad_nd(images, box, 0))[None], torch.from_numpy(regions[None]).float()


def write_model_folder(folder: Path, network: nn.Module, patch: list[int]) -> None:
    """What nnUNetv2_predict_from_modelfolder reads."""
    write(folder, plans(patch, 2), brats_dataset())
    (folder / "fold_0").mkdir()
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": CONFIGURATION},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


if __name__ == "__main__":
    serve(prepare, lambda _: {})
