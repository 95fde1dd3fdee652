"""What every network returns, and the region probabilities in it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from autobrats.dataset.conventions import Convention


class NetworkOutput(NamedTuple):
    """The result of a forward pass.

    Attributes:
        logits: shape (batch, channel, z, y, x), at the input's resolution; one channel a region, or one for the
            background and one a label.
        deep: logits at coarser resolutions for deep supervision, finest first; empty outside training.
        slices: for networks with a slice-classification branch, logits of shape (batch, channel, slice), the slices along
            the network's ``slice_axis``.
    """

    logits: Tensor
    deep: tuple[Tensor, ...] = ()
    slices: Tensor | None = None


def channel_names(output: Literal["regions", "labels"], convention: Convention) -> list[str]:
    """What the channels of the logits stand for, in order."""
    if output == "regions":
        return list(convention.regions)
    return ["background", *convention.labels]


def region_probabilities(logits: Tensor, output: Literal["regions", "labels"], convention: Convention) -> Tensor:
    """Region probabilities, shape (batch, region, ...), of logits of shape (batch, channel, ...)."""
    if output == "regions":
        return torch.sigmoid(logits)
    labels = torch.softmax(logits, 1)
    channel = {integer: index + 1 for index, integer in enumerate(convention.labels.values())}
    return torch.stack(
        [labels[:, [channel[integer] for integer in region]].sum(1) for region in convention.regions.values()], 1
    )
