"""What this machine can do at most, beside what a forward pass of nnU-Net's BraTS network needs: arithmetic and memory.

    python benchmarks/limits.py [--side 96] [--repeats 5]

A product of large matrices shows the arithmetic that the processor reaches at best, a copy of a large array its memory's
bandwidth. A direct convolution cannot be faster than its multiplications and additions at that rate; the convolutions are
then timed one by one in both memory formats of torch, forwards and backwards, with all cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch

from autobrats.devices import core_count
from autobrats.networks.building import build_network
from autobrats.planning.speed import forward_flops
from autobrats.reporting.tables import print_table

CHANNELS = [32, 64, 128, 256, 320, 320]
NETWORK = {"channels": CHANNELS, "strides": [[1, 1, 1]] + [[2, 2, 2]] * 5}
MATRIX, COPIED = 4096, 2**28


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=96, help="of the patch, in voxels")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(core_count())
    best = partial(fastest, arguments.repeats)

    left, right = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    rate = 2 * MATRIX**3 / best(lambda: left @ right)
    source = torch.zeros(COPIED)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() * source.element_size() / best(lambda: target.copy_(source))
    patch = (arguments.side,) * 3
    flops = forward_flops(partial(build_network, "plain_unet", NETWORK, 4, 3), 4, patch)
    print_table(
        ["what", "measured"],
        [
            ["product of two matrices of 4096 x 4096, float32", f"{rate / 1e9:.0f} GFLOP/s"],
            ["copy of 1 GiB, read and written", f"{bandwidth / 1e9:.1f} GB/s"],
            [f"one forward pass of the network, a patch of {arguments.side}^3", f"{flops / 1e9:.0f} GFLOP"],
            ["the least time of its arithmetic", f"{flops / rate:.2f} s"],
        ],
        title=f"limits, {core_count()} cores",
    )
    rows = []
    for stage, channels in enumerate(CHANNELS[:5]):
        side = arguments.side >> stage
        for memory_format in (torch.contiguous_format, torch.channels_last_3d):
            rows.append(
                [
                    f"{channels} -> {channels}, {side}^3",
                    _name(memory_format),
                    *rates(channels, side, memory_format, best),
                ]
            )
    print_table(
        ["3 x 3 x 3 convolution", "memory format", "forward", "to the input", "to the weights"], rows, title="GFLOP/s"
    )


def rates(channels: int, side: int, memory_format: torch.memory_format, best: Callable[..., float]) -> list[str]:
    """GFLOP/s of a convolution, of the gradient of its input and of that of its weights."""
    images = torch.randn(1, channels, side, side, side).to(memory_format=memory_format).requires_grad_()
    convolution = torch.nn.Conv3d(channels, channels, 3, padding=1, bias=False).to(memory_format=memory_format)  # type: ignore[call-overload]
    result = convolution(images)
    gradient = torch.randn_like(result)
    flops = 2 * 27 * channels**2 * side**3

    def backward(of: torch.Tensor) -> float:
        return best(lambda: torch.autograd.grad(result, [of], gradient, retain_graph=True))

    with torch.no_grad():
        forward = best(lambda: convolution(images))
    return [f"{flops / seconds / 1e9:.0f}" for seconds in (forward, backward(images), backward(convolution.weight))]


def fastest(repeats: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs after a first one."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _name(memory_format: torch.memory_format) -> str:
    return "plain" if memory_format == torch.contiguous_format else "channels last"


if __name__ == "__main__":
    main()
