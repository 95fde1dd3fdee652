"""A network run by torch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis


class TorchNetwork:
    """A network run by torch."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self.slice_axis: SliceAxis | None = getattr(network, "slice_axis", None)

    def __call__(self, images: Tensor) -> NetworkOutput:
        return self.network(images)
