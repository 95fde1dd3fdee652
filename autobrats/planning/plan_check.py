"""Whether a plan that a person edited can be trained."""

from __future__ import annotations

import functools

from torch import nn

from autobrats import registry
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
        for hook in configuration.hooks:
            registry.find("hook", hook.name)
        part, channels = configuration.network, channel_names(configuration.output, plan.convention)
        network = without_weights(
            functools.partial(build_network, part.name, part.options, len(configuration.modalities), len(channels))
        )
        check_patch_sizes(network, name, configuration)


def check_patch_sizes(network: nn.Module, name: str, configuration: Configuration) -> None:
    """UserError, naming the key, unless the patches of a configuration of that name can pass through its network."""
    for index, entry in enumerate(configuration.pool):
        check_patch_size(network, f"configurations.{name}.pool.{index}.patch_size", entry.patch_size)
    check_patch_size(network, f"configurations.{name}.inference.patch_size", configuration.inference.patch_size)
