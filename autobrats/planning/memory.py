"""How much memory a training step takes, counted without running it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.plan import Size
from autobrats.planning.weightless import coarse_arithmetic, without_weights

GIB = 1024**3
RUNTIME_GIB = {"cuda": 0.9, "mps": 0.5, "cpu": 0.35}
"""What the libraries take on the device before the first tensor."""
OPTIMISER_COPIES = 5
"""Weights, gradients, the optimiser's two moments, and the averaged weights."""


def estimate_training_memory_gib(
    network: Callable[[], nn.Module],
    loss: Callable[[], SegmentationLoss],
    in_channels: int,
    out_channels: int,
    patch_size: Size,
    batch_size: int,
    device_type: str,
    mixed_precision: bool,
) -> float:
    """The estimated peak of a training step in GiB.

    The step is run on torch's ``meta`` device, where tensors have sizes but no values. What autograd keeps for the
    backward pass is counted tensor by tensor (each storage once); to it come the weights with their gradients and
    optimiser state, the largest single operation's gradients, and the runtime.

    Args:
        network, loss: build the modules.
        in_channels, out_channels: of the network.
        patch_size: (z, y, x).
        batch_size: samples of a step.
        device_type: ``cuda``, ``mps`` or ``cpu``.
        mixed_precision: whether activations are bfloat16, as on CUDA.
    """
    model, criterion = without_weights(network), loss().to("meta")
    with torch.device("meta"):
        images = torch.empty(batch_size, in_channels, *patch_size)
        target = torch.empty(batch_size, out_channels, *patch_size, dtype=torch.uint8)
    model.train()
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    kept: dict[int, int] = {}
    alive: list[Tensor] = []
    largest = 0

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    def watch(_module: nn.Module, inputs: tuple, output: object) -> None:
        nonlocal largest
        tensors = [t for t in (*inputs, *(output if isinstance(output, tuple) else (output,))) if isinstance(t, Tensor)]
        largest = max(largest, sum(t.numel() * t.element_size() for t in tensors))

    for module in model.modules():
        module.register_forward_hook(watch)
    half = mixed_precision and device_type == "cuda"
    with coarse_arithmetic(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        criterion(model(images), target)
    activations = sum(kept.values()) * (0.6 if half else 1.0)
    transient = 2 * largest * (0.5 if half else 1.0)
    return RUNTIME_GIB[device_type] + (OPTIMISER_COPIES * parameters + activations + transient) / GIB
