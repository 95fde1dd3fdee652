"""One forward pass of the same network and patch with the backend that autobrats chooses on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ours_network import brats_network
from torch import Tensor, nn

from autobrats.inference.backends import cpu_backends, with_backend
from autobrats.inference.int8 import ActivationRanges, Range
from benchmarks.side_by_side.protocol import measured, serve


class State(NamedTuple):
    network: Any
    images: Tensor


def prepare(options: dict[str, Any]) -> State:
    folder = Path(options["folder"])
    torch.set_num_threads(options["threads"])
    images = torch.from_numpy(np.load(folder / "images.npy"))
    network = brats_network(folder / "weights.pt").eval()
    ranges = calibrated(network, images) if options["precision"] == "int8" else None
    computing = with_backend(network, "auto", torch.device("cpu"), precision=options["precision"], ranges=ranges)
    state = State(computing, images)
    for _ in range(2 * len(cpu_backends("auto")) + 1):  # it times each of them twice, and takes the fastest
        forward(state)
    np.save(folder / "ours.npy", forward(state).numpy())
    return state


def calibrated(network: nn.Module, images: Tensor) -> dict[str, Range]:
    """The ranges of the convolutions' inputs on the patch itself."""
    with torch.inference_mode(), ActivationRanges(network) as seen:
        network(images)
    return seen.mean()


def forward(state: State) -> Tensor:
    with torch.inference_mode():
        return state.network(state.images)


def repeat(state: State) -> dict[str, Any]:
    return measured(lambda: forward(state))[1]


if __name__ == "__main__":
    serve(prepare, repeat)
