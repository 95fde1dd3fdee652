"""How fast this machine trains: the measured seconds of real steps."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.plan import Size
from autobrats.planning.weightless import only_sizes, without_weights


def measure_step_s(
    network: Callable[[], nn.Module],
    loss: Callable[[], SegmentationLoss],
    in_channels: int,
    out_channels: int,
    patch_size: Size,
    batch_size: int,
    device: torch.device,
    mixed_precision: bool = True,
    limit_s: float = 1.0,
) -> float:
    """Seconds of one training step on random data: the fastest of up to five after a first one.

    Args:
        network, loss: build the modules.
        in_channels, out_channels: of the network.
        patch_size: (z, y, x).
        batch_size: samples of a step.
        device: where.
        mixed_precision: bfloat16 autocast on CUDA.
        limit_s: no further step is begun after so many seconds.
    """
    model, criterion = network().to(device).train(), loss().to(device)
    optimiser = torch.optim.AdamW(model.parameters())
    images = torch.randn(batch_size, in_channels, *patch_size, device=device)
    target = (torch.rand(batch_size, out_channels, *patch_size, device=device) > 0.9).to(torch.uint8)
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 6 and (len(times) < 2 or time.perf_counter() - begun < limit_s):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision and device.type == "cuda"):
            output = model(images)
        criterion(output, target).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def forward_flops(network: Callable[[], nn.Module], in_channels: int, patch_size: Size) -> float:
    """Floating-point operations of one forward pass of one sample, counted without running it."""
    from torch.utils.flop_counter import FlopCounterMode

    model = without_weights(network)
    images = torch.empty(1, in_channels, *patch_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter, only_sizes():
        model(images)
    return float(counter.get_total_flops())
