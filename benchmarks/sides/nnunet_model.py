"""A model folder of nnU-Net whose network finds tumours; its weights are left as a state dict as well.

The network's convolutions stay random. Its head is fitted to the features that they give: a logistic regression for every
region on the brain's voxels of one patch a study. That takes a minute, and its masks are those of real tumours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from nnunet_network import brats_network
from nnunet_preprocessing import run_case
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from benchmarks.side_by_side.nnunet_plan import BRATS_LABELS, CONFIGURATION, brats_dataset, plans, write
from benchmarks.side_by_side.protocol import serve

VOXELS_A_STUDY = 50_000


def prepare(options: dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    network = brats_network(deep_supervision=False).eval()
    fit_head(network, [Path(study) for study in options["studies"]], options["patch"])
    torch.save(network.state_dict(), options["weights"])
    write_model_folder(Path(options["model"]), network, options["patch"])


def fit_head(network: nn.Module, studies: list[Path], patch: list[int]) -> None:
    """Fit the last convolution, of size 1, to the patch of every study that holds most of its tumour."""
    head = network.decoder.seg_layers[-1]
    samples = [features_of(network, head, study, patch) for study in studies]
    features, labels = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    regions = [integers for integers in BRATS_LABELS.values() if integers]
    with torch.no_grad():
        for row, integers in enumerate(regions):
            fitted = LogisticRegression(max_iter=1000).fit(features, np.isin(labels, integers))
            head.weight[row, :, 0, 0, 0] = torch.from_numpy(fitted.coef_[0])
            head.bias[row] = float(fitted.intercept_[0])


def features_of(network: nn.Module, head: nn.Module, study: Path, patch: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Features (voxel, channel) before the head, and labels (voxel,), of some voxels of the brain."""
    images, segmentation = run_case(study, patch)
    centre = np.argwhere(segmentation > 0).mean(0).astype(int)
    box = [[start, start + side] for start, side in zip(centre - np.array(patch) // 2, patch, strict=True)]
    images, segmentation = crop_and_pad_nd(images, box, 0), crop_and_pad_nd(segmentation, box, -1)
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        network(torch.from_numpy(images)[None])
    hook.remove()
    labels = segmentation.ravel()
    inside = np.flatnonzero(labels >= 0)  # nnU-Net marks what is outside the brain by -1
    chosen = np.random.default_rng(0).choice(inside, VOXELS_A_STUDY, replace=False)
    return seen[0][0].flatten(1).T[torch.from_numpy(chosen)].numpy(), labels[chosen]


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
