"""Whether a plan that a person edited can be trained."""

from __future__ import annotations

import functools

from torch import nn

from autobrats import registry
from autobrats.errors import UserError
from autobrats.networks.building import build_network, check_patch_size
from autobrats.networks.output import channel_names
from autobrats.plan import Configuration, Plan
from autobrats.planning.weightless import without_weights


def check_plan(plan: Plan) -> None:
    """Look up every part that the plan names, build its networks without weights, and try the patches' sizes.

    Raises:
        UserError: naming the part or the key.
    """
    for name, configuration in plan.configurations.items():
        for kind in ("network", "loss", "sampler", "optimiser", "schedule", "trainer", "validation"):
            registry.find(kind, getattr(configuration, kind).name)
        for kind, parts in (("hook", configuration.hooks), ("postprocessing", configuration.postprocessing)):
            for part in parts:
                registry.find(kind, part.name)
        part, channels = configuration.network, channel_names(configuration.output, plan.convention)
        network = without_weights(
            functools.partial(build_network, part.name, part.options, len(configuration.modalities), len(channels))
        )
        check_patch_sizes(network, name, configuration)
        check_slice_axis(network, name, configuration)


def check_patch_sizes(network: nn.Module, name: str, configuration: Configuration) -> None:
    """UserError, naming the key, unless the patches of a configuration of that name can pass through its network."""
    for index, entry in enumerate(configuration.pool):
        check_patch_size(network, f"configurations.{name}.pool.{index}.patch_size", entry.patch_size)
    check_patch_size(network, f"configurations.{name}.inference.patch_size", configuration.inference.patch_size)


def check_slice_axis(network: nn.Module, name: str, configuration: Configuration) -> None:
    """UserError if a network's classification branch and its loss count slices along different axes."""
    own = getattr(network, "slice_axis", None)
    of_loss = configuration.loss.options.get("slice_axis")
    if own is not None and of_loss is not None and own != of_loss:
        raise UserError(
            f"The plan's configurations.{name}.network counts {own} slices, and its loss {of_loss} ones; say the same "
            "slice_axis in both."
        )
