"""A plain U-Net of MONAI trained for some minutes on preprocessed cases, and its probabilities of held-back ones.

Channels 16, 32, 64, 128, two residual units, instance norm, AdamW with 2e-3 and polynomial decay over the time, Dice + focal
loss, batches of 8, random crops and flips along every axis; a sliding window without mirroring.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceFocalLoss
from monai.networks.nets import UNet

from benchmarks.side_by_side.protocol import serve

BATCH, RATE = 8, 2e-3


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Read the cases to learn from (``train``: .npz files of images and regions), padded to the ``patch``."""
    return options | {"cases": [_load(path, options["patch"]) for path in options["train"]]}


def repeat(state: dict[str, Any]) -> dict[str, Any]:
    """Train for ``minutes``, and write the probabilities of ``held_back`` (images .npz by the path to write)."""
    torch.manual_seed(0)
    network, iterations = _train(state["cases"], state["patch"], 60 * state["minutes"])
    network.eval()
    for written, path in state["held_back"].items():
        images = torch.from_numpy(np.load(path)["images"].astype(np.float32))[None]
        with torch.inference_mode():
            logits = sliding_window_inference(images, state["patch"], 4, network, overlap=0.5, mode="gaussian")
        np.save(Path(written), torch.sigmoid(logits)[0].numpy())
    return {"iterations": iterations}


def _train(cases: list[tuple[np.ndarray, np.ndarray]], patch: list[int], seconds: float) -> tuple[torch.nn.Module, int]:
    random = np.random.default_rng(0)
    modalities, regions = (len(array) for array in cases[0])
    network = UNet(3, modalities, regions, (16, 32, 64, 128), (2, 2, 2), num_res_units=2)
    optimiser = torch.optim.AdamW(network.parameters(), RATE)
    loss = DiceFocalLoss(sigmoid=True)
    started, iteration = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - elapsed / seconds) ** 0.9
        drawn = [_crop(*cases[index], patch, random) for index in random.choice(len(cases), BATCH)]
        images, targets = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*drawn, strict=True))
        loss(network(images), targets).backward()
        optimiser.step()
        optimiser.zero_grad()
        iteration += 1
        if iteration % 100 == 0:
            print(f"MONAI: iteration {iteration}, {elapsed:.0f} of {seconds:.0f} s", file=sys.stderr, flush=True)
    return network, iteration


def _load(path: str, patch: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and regions, padded to the patch."""
    with np.load(path) as archive:
        images, regions = archive["images"].astype(np.float32), archive["regions"].astype(np.float32)
    short = [max(0, side - extent) for side, extent in zip(patch, images.shape[1:], strict=True)]
    padding = [(0, 0), *((width // 2, width - width // 2) for width in short)]
    return np.pad(images, padding), np.pad(regions, padding)


def _crop(
    images: np.ndarray, regions: np.ndarray, patch: list[int], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random patch, randomly mirrored."""
    starts = [random.integers(extent - side + 1) for extent, side in zip(images.shape[1:], patch, strict=True)]
    where = (slice(None), *(slice(start, start + side) for start, side in zip(starts, patch, strict=True)))
    axes = [axis for axis in (1, 2, 3) if random.random() < 0.5]
    return np.flip(images[where], axes).copy(), np.flip(regions[where], axes).copy()


if __name__ == "__main__":
    serve(prepare, repeat)
