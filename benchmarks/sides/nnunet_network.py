"""nnU-Net's default BraTS network, built from a plan as its trainer builds it."""

from __future__ import annotations

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from benchmarks.side_by_side.nnunet_plan import CONFIGURATION, plans


def brats_network(deep_supervision: bool) -> nn.Module:
    """PlainConvUNet with random weights, four modalities to three regions."""
    architecture = plans((128, 128, 128), 2)["configurations"][CONFIGURATION]["architecture"]
    return get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        4,
        3,
        deep_supervision=deep_supervision,
    )
