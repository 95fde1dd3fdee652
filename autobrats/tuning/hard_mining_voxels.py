"""The share of the hardest voxels that a loss learns from, as an option in the plan."""

from __future__ import annotations

import inspect

from autobrats import registry
from autobrats.plan import Part

_OPTIONS = {"mining", "hard_share_start", "hard_share_end"}


def mines_voxels(part: Part) -> bool:
    """Whether a loss has the options of :class:`~autobrats.losses.voxel_mining.VoxelMining`."""
    return inspect.signature(registry.find("loss", part.name)).parameters.keys() >= _OPTIONS


def voxel_share_of(part: Part) -> float | None:
    """The share of the voxels that a loss learns from at the end of a training, if it mines the hardest; else None."""
    if part.options.get("mining") != "hard":
        return None
    parameters = inspect.signature(registry.find("loss", part.name)).parameters
    return part.options.get("hard_share_end", parameters["hard_share_end"].default)


def with_voxel_share(part: Part, start: float, end: float | None) -> Part:
    """The loss with another share of the hardest voxels at the start and at the end; with no mining of them if None."""
    if end is None:
        is_hard = part.options.get("mining") == "hard"
        return Part(name=part.name, options={**part.options, "mining": "none"}) if is_hard else part
    mining = {"mining": "hard", "hard_share_start": start, "hard_share_end": end}
    return Part(name=part.name, options={**part.options, **mining})
