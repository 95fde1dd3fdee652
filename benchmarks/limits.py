"""What this machine can do at most, beside what a forward pass of nnU-Net's BraTS network needs: arithmetic and memory.

    python benchmarks/limits.py [--side 96] [--repeats 5]

A product of large matrices shows the arithmetic that the processor reaches at best, a copy of a large array its memory's
bandwidth. A direct convolution cannot be faster than its multiplications and additions at that rate; the convolutions are
then timed one by one in both memory formats of torch, forwards and backwards, with all cores. Where the processor has units
for bfloat16, everything is also done in it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial

import torch

from autobrats.devices import computes_bfloat16, core_count
from autobrats.networks.building import build_network
from autobrats.planning.speed import forward_flops
from autobrats.reporting.tables import print_table

CHANNELS = [32, 64, 128, 256, 320, 320]
NETWORK = {"channels": CHANNELS, "strides": [[1, 1, 1]] + [[2, 2, 2]] * 5}
MATRIX, COPIED = 4096, 2**28
MEMORY_FORMATS = {"plain": torch.contiguous_format, "channels last": torch.channels_last_3d}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=96, help="of the patch, in voxels")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(core_count())
    best = partial(fastest, arguments.repeats)

    kinds = [torch.float32, *([torch.bfloat16] if computes_bfloat16(torch.device("cpu")) else [])]
    of_products = {kind: _product_rate(kind, best) for kind in kinds}
    source = torch.zeros(COPIED)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() * source.element_size() / best(lambda: target.copy_(source))
    patch = (arguments.side,) * 3
    flops = forward_flops(partial(build_network, "plain_unet", NETWORK, 4, 3), 4, patch)
    print_table(
        ["what", "measured"],
        [
            *(
                [f"product of two matrices of 4096 x 4096, {_name(kind)}", f"{rate / 1e9:.0f} GFLOP/s"]
                for kind, rate in of_products.items()
            ),
            ["copy of 1 GiB, read and written", f"{bandwidth / 1e9:.1f} GB/s"],
            [f"one forward pass of the network, a patch of {arguments.side}^3", f"{flops / 1e9:.0f} GFLOP"],
            *(
                [f"the least time of its arithmetic, {_name(kind)}", f"{flops / rate:.2f} s"]
                for kind, rate in of_products.items()
            ),
        ],
        title=f"limits, {core_count()} cores",
    )
    rows = []
    for stage, channels in enumerate(CHANNELS[:5]):
        side = arguments.side >> stage
        for kind, (name, memory_format) in itertools.product(kinds, MEMORY_FORMATS.items()):
            rows.append(
                [
                    f"{channels} -> {channels}, {side}^3",
                    f"{_name(kind)}, {name}",
                    *rates(channels, side, kind, memory_format, best),
                ]
            )
    print_table(
        ["3 x 3 x 3 convolution", "numbers and memory", "forward", "to the input", "to the weights"],
        rows,
        title="GFLOP/s",
    )


def _product_rate(kind: torch.dtype, best: Callable[..., float]) -> float:
    """FLOP/s."""
    left, right = torch.randn(MATRIX, MATRIX).to(kind), torch.randn(MATRIX, MATRIX).to(kind)
    return 2 * MATRIX**3 / best(lambda: left @ right)


def rates(
    channels: int, side: int, kind: torch.dtype, memory_format: torch.memory_format, best: Callable[..., float]
) -> list[str]:
    """GFLOP/s of a convolution, of the gradient of its input and of that of its weights."""
    images = torch.randn(1, channels, side, side, side).to(kind).to(memory_format=memory_format).requires_grad_()
    convolution = torch.nn.Conv3d(channels, channels, 3, padding=1, bias=False).to(kind)
    convolution = convolution.to(memory_format=memory_format)  # type: ignore[call-overload]
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


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


if __name__ == "__main__":
    main()
