"""The same network as autobrats builds it, with the weights of nnU-Net's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from autobrats.networks.building import build_network
from autobrats.networks.plain_unet import from_nnunet
from autobrats.plan import Part
from benchmarks.side_by_side.nnunet_plan import STRIDES, WIDTHS


def network_part(deep_supervision: bool) -> Part:
    """As a plan names it."""
    options = {"channels": WIDTHS, "strides": STRIDES, "deep_supervision": deep_supervision}
    return Part(name="plain_unet", options=options)


def brats_network(weights: Path, deep_supervision: bool = False) -> nn.Module:
    """The network with the weights of a state dict that nnU-Net's side wrote."""
    part = network_part(deep_supervision)
    network = build_network(part.name, part.options, 4, 3)
    network.load_state_dict(from_nnunet(torch.load(weights, weights_only=True), len(network.heads)))
    return network
