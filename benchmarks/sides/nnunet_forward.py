"""One forward pass of nnU-Net's BraTS network in eager PyTorch; its weights, input and logits are left in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from nnunet_network import brats_network
from torch import Tensor, nn

from benchmarks.side_by_side.protocol import measured, serve


class State(NamedTuple):
    network: nn.Module
    images: Tensor


def prepare(options: dict[str, Any]) -> State:
    folder = Path(options["folder"])
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    state = State(brats_network(deep_supervision=False).eval(), torch.randn(1, 4, *options["patch"]))
    torch.save(state.network.state_dict(), folder / "weights.pt")
    np.save(folder / "images.npy", state.images.numpy())
    np.save(folder / "theirs.npy", forward(state).numpy())
    return state


def forward(state: State) -> Tensor:
    with torch.inference_mode():
        return state.network(state.images)


def repeat(state: State) -> dict[str, Any]:
    return measured(lambda: forward(state))[1]


if __name__ == "__main__":
    serve(prepare, repeat)
