"""One forward pass of the same network and patch with the backend that autobrats chooses on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ours_network import brats_network
from torch import Tensor

from autobrats.inference.backends import cpu_backends, with_backend
from benchmarks.side_by_side.protocol import measured, serve


class State(NamedTuple):
    network: Any
    images: Tensor


def prepare(options: dict[str, Any]) -> State:
    folder = Path(options["folder"])
    torch.set_num_threads(options["threads"])
    images = torch.from_numpy(np.load(folder / "images.npy"))
    network = with_backend(brats_network(folder / "weights.pt").eval(), "auto", torch.device("cpu"))
    state = State(network, images)
    for _ in range(2 * len(cpu_backends("auto")) + 1):  # it times each of them twice, and takes the fastest
        forward(state)
    np.save(folder / "ours.npy", forward(state).numpy())
    return state


def forward(state: State) -> Tensor:
    with torch.inference_mode():
        return state.network(state.images)


def repeat(state: State) -> dict[str, Any]:
    return measured(lambda: forward(state))[1]


if __name__ == "__main__":
    serve(prepare, repeat)
