"""Building a loss from the part that a plan names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from autobrats import registry
from autobrats.dataset.conventions import Convention
from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.output import channel_names
from autobrats.plan import Part


def build_loss(
    part: Part, output: Literal["regions", "labels"], convention: Convention, region_weights: Mapping[str, float]
) -> SegmentationLoss:
    """The loss over the channels of ``output``; it knows which labels make up which region.

    Args:
        region_weights: by the name of a channel; 1 where nothing is said.

    Raises:
        UserError: for an unknown name, an unknown option or an option's wrong value.
    """
    names = channel_names(output, convention)
    weights = torch.tensor([region_weights.get(name, 1.0) for name in names])
    loss = registry.build("loss", part.name, part.options, output=output, channel_weights=weights)
    if output == "labels":
        channel_of = {integer: names.index(label) for label, integer in convention.labels.items()}
        loss.region_channels = [[channel_of[integer] for integer in region] for region in convention.regions.values()]
    return loss
