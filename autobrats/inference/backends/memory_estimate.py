"""How much memory predicting a study takes, found from sizes alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from autobrats.inference.backends.arrangements import Shape
from autobrats.inference.backends.kept_models import digest, read_kept, write_kept

MOST_KEPT = 64
"""Sizes of images in the file; those that were added first go first."""


class _Kept(BaseModel):
    """The file ``activations.json``: bytes of an image's activations, by architecture and size."""

    model_config = ConfigDict(extra="forbid")

    bytes: dict[str, int] = {}


class Activations:
    """What the activations of an architecture's networks take: kept, because finding it out imports torch's compiler first.

    Args:
        folder: where it is kept, ``MODEL_FOLDER/converted``; None keeps it for this process only.
        architecture: what tells this architecture, with its channels and its code, from others.
    """

    def __init__(self, folder: Path | None = None, architecture: str = "") -> None:
        self._file = None if folder is None else folder / "activations.json"
        self._architecture = architecture
        self._known: dict[Shape, int] = {}

    def bytes_of(self, network: nn.Module, image: Shape) -> int:
        """Of one image, (modality, z, y, x): twice the largest set of three neighbouring layers, and the four largest.

        Neighbours are the input, the output and the workspace of a convolution; the largest are what skip connections keep.
        """
        if image not in self._known:
            key = digest(architecture=self._architecture, torch=torch.__version__, image=list(image))
            kept = (read_kept(self._file, _Kept) or _Kept()).bytes
            if key not in kept:
                kept[key] = _activation_bytes(network, image)
                write_kept(self._file, _Kept(bytes=dict(list(kept.items())[-MOST_KEPT:])))
            self._known[image] = kept[key]
        return self._known[image]


def estimate_memory_gib(
    networks: Sequence[nn.Module],
    shape: Sequence[int],
    *,
    modalities: int,
    regions: int,
    window: tuple[int, int, int],
    channels: int | None = None,
    batch_size: int = 1,
    activations: Activations | None = None,
) -> float:
    """The peak that predicting a volume of ``shape`` (z, y, x) on the network's grid adds to the process.

    Volumes: the images, the sum, its weight and the result. Networks: their weights, and the activations of one.

    Args:
        channels: of the sum, where logits are averaged; by default as many as regions.
        activations: what is known of these networks.
    """
    voxels = math.prod(max(s, w) for s, w in zip(shape, window, strict=True))
    volumes = 4 * voxels * (2 * modalities + (channels or regions) + regions + 1)
    parameters = sum(4 * sum(p.numel() for p in network.parameters()) for network in networks)
    image = (activations or Activations()).bytes_of(networks[0], (modalities, *window))
    return (volumes + parameters + batch_size * image) / 2**30


def _activation_bytes(network: nn.Module, image: Shape) -> int:
    """By passing sizes without data through the network."""
    sizes: list[int] = []

    def measure(_module: nn.Module, _given: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(4 * output.numel())

    hooks = [m.register_forward_hook(measure) for m in network.modules() if not list(m.children())]
    state = {
        name: torch.empty_like(value, device="meta")
        for name, value in itertools.chain(network.named_parameters(), network.named_buffers())
    }
    try:
        with torch.inference_mode():
            torch.func.functional_call(network, state, torch.empty((1, *image), device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    together = max((sum(sizes[i : i + 3]) for i in range(len(sizes))), default=0)
    return 2 * together + sum(sorted(set(sizes), reverse=True)[:4])
