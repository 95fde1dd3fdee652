"""How fast this machine trains: the measured seconds of real steps."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from autobrats import registry
from autobrats.devices import computes_bfloat16
from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.building import build_network
from autobrats.plan import Part, Size
from autobrats.planning.weightless import coarse_arithmetic, only_sizes, without_weights

MOST_SAMPLES = 4
"""Of a batch that is measured on a CPU."""


class StepSpeed(BaseModel):
    """The standard training step, measured; the same on every machine and for every dataset, so that machines compare."""

    model_config = ConfigDict(extra="forbid")

    device: str
    network: Part
    in_channels: int
    out_channels: int
    patch_size: Size
    batch_size: int
    seconds: float
    gflop_per_s: float
    """Forward and backward pass together count as three forward passes."""


def measure_standard_step(device: torch.device, network: Part) -> StepSpeed:
    """Train a network on random patches of 32^3 voxels, four modalities and three regions, for half a second.

    Args:
        device: where.
        network: for such patches.
    """
    in_channels, out_channels, patch, batch = 4, 3, (32, 32, 32), 2
    build = functools.partial(build_network, network.name, network.options, in_channels, out_channels)
    loss = functools.partial(
        registry.build, "loss", "dice_cross_entropy", {}, output="regions", channel_weights=torch.ones(out_channels)
    )
    seconds = measure_step_s(build, loss, in_channels, out_channels, patch, batch, device)
    return StepSpeed(
        device=str(device),
        network=network,
        in_channels=in_channels,
        out_channels=out_channels,
        patch_size=patch,
        batch_size=batch,
        seconds=round(seconds, 5),
        gflop_per_s=round(3 * batch * forward_flops(build, in_channels, patch) / seconds / 1e9, 1),
    )


def measure_step_s(
    network: Callable[[], nn.Module],
    loss: Callable[[], SegmentationLoss],
    in_channels: int,
    out_channels: int,
    patch_size: Size,
    batch_size: int,
    device: torch.device,
    mixed_precision: bool = True,
    limit_s: float = 0.5,
) -> float:
    """Seconds of one training step on random data: the fastest of up to five after a first one.

    On a CPU a large batch is measured with fewer samples, because its time grows with them.

    Args:
        network, loss: build the modules.
        in_channels, out_channels: of the network.
        patch_size: (z, y, x).
        batch_size: samples of a step.
        device: where.
        mixed_precision: bfloat16 autocast on devices with units for it.
        limit_s: no further step is begun after so many seconds.
    """
    model, criterion = network().to(device).train(), loss().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), fused=device.type in ("cpu", "cuda"))
    samples = min(batch_size, MOST_SAMPLES) if device.type == "cpu" else batch_size
    images = torch.randn(samples, in_channels, *patch_size, device=device)
    target = (torch.rand(samples, out_channels, *patch_size, device=device) > 0.9).to(torch.uint8)
    half = mixed_precision and computes_bfloat16(device)
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 6 and (len(times) < 2 or time.perf_counter() - begun < limit_s):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            output = model(images)
        criterion(output, target).backward()
        of_samples = time.perf_counter() - start
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start + of_samples * (batch_size / samples - 1))
    return min(times[1:])


def forward_flops(network: Callable[[], nn.Module], in_channels: int, patch_size: Size) -> float:
    """Floating-point operations of one forward pass of one sample, counted without running it."""
    from torch.utils.flop_counter import FlopCounterMode

    model = without_weights(network)
    images = torch.empty(1, in_channels, *patch_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter, only_sizes(), coarse_arithmetic():
        model(images)
    return float(counter.get_total_flops())
