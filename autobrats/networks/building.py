"""Building a network from the part that a plan names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from autobrats import registry
from autobrats.errors import UserError


def divisor_of(network: nn.Module) -> tuple[int, int, int]:
    """What the sides (z, y, x) of a network's input must be multiples of."""
    z, y, x = network.divisor  # type: ignore[misc]
    return (int(z), int(y), int(x))


def check_patch_size(network: nn.Module, key: str, patch_size: Sequence[int]) -> None:
    """UserError, naming the plan's key, unless a patch (z, y, x) can pass through the network."""
    divisor = divisor_of(network)
    if any(side % d for side, d in zip(patch_size, divisor, strict=True)):
        z, y, x = divisor
        raise UserError(f"The plan's {key} is {list(patch_size)}; its network needs multiples of {z}, {y} and {x}.")


def build_network(name: str, options: dict[str, Any], in_channels: int, out_channels: int) -> nn.Module:
    """The network of that name.

    A network is a module that takes (batch, modality, z, y, x), returns a
    :class:`~autobrats.networks.output.NetworkOutput`, and says by ``divisor`` (z, y, x) which multiples its input's
    sides must be.

    Raises:
        UserError: for an unknown name, an unknown option or an option's wrong value.
    """
    network = registry.build("network", name, options, in_channels=in_channels, out_channels=out_channels)
    if not hasattr(network, "divisor"):
        raise UserError(f"The network '{name}' has no attribute 'divisor'; see documentation/extending.md.")
    return network
