"""What every segmentation loss has: channels, their weights, and deep supervision."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from autobrats.networks.output import NetworkOutput


class SegmentationLoss(nn.Module):
    """A loss of logits against channels, summed over the resolutions that the network predicts.

    A subclass defines :meth:`of_scale`. The i-th coarser resolution weighs 2^-i, and the weights add up to one (Isensee
    et al., 2021); its target is the average of the full-resolution channels, which keeps small lesions visible.

    Args:
        output: ``regions`` (each channel a sigmoid) or ``labels`` (a softmax over the channels, background first).
        channel_weights: shape (channel,), the weight of each channel.

    Attributes:
        region_channels: for ``labels``, the channels whose labels make up each region; empty if nobody told.
        progress: the share of the training that is done, 0..1, for losses that change with it; the trainer sets it.
    """

    def __init__(self, output: Literal["regions", "labels"], channel_weights: Tensor) -> None:
        super().__init__()
        self.output = output
        self.channel_weights: Tensor
        self.register_buffer("channel_weights", channel_weights.float())
        self.region_channels: list[list[int]] = []
        self.progress = 0.0

    def forward(self, output: NetworkOutput, target: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            output: logits of shape (batch, channel, z, y, x), and coarser ones.
            target: the true channels in 0..1, shape (batch, channel, z, y, x).
        """
        target = target.float()
        total = self.of_scale(output.logits.float(), target)
        weight_sum = 1.0
        for index, logits in enumerate(output.deep):
            weight = 0.5 ** (index + 1)
            pooled = functional.adaptive_avg_pool3d(target, list(logits.shape[2:]))  # type: ignore[arg-type]
            total = total + weight * self.of_scale(logits.float(), pooled)
            weight_sum += weight
        return total / weight_sum

    def of_scale(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss at one resolution, a scalar."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the channels, shape (batch, channel, ...)."""
        return torch.sigmoid(logits) if self.output == "regions" else torch.softmax(logits, 1)
