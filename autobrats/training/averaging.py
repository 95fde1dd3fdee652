"""The exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedNetwork:
    """A second network whose weights follow those of the first (Polyak averaging).

    The decay grows with the number of updates, (1 + n) / (10 + n) at most ``decay``, so that the random start is soon
    forgotten.

    Args:
        network: the network that is trained.
        decay: of the average; None keeps the trained weights themselves.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self._source = network
        self.network = network if decay is None else copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Follow the weights after iteration number ``iteration`` (from 1)."""
        if self.decay is None:
            return
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        followers: list[Tensor] = list(self.network.parameters())
        leaders: list[Tensor] = list(self._source.parameters())
        torch._foreach_lerp_(followers, leaders, 1 - decay)
        for follower, leader in zip(self.network.buffers(), self._source.buffers(), strict=True):
            follower.copy_(leader)
