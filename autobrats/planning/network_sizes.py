"""The sizes of networks, from large to tiny, and how the default one is laid over a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autobrats.plan import Part, Size

MAX_CHANNELS = 320
MIN_SIDE = 2
"""Voxels of a patch's side at the coarsest stage."""


@dataclass(frozen=True)
class NetworkSize:
    """A rung of the ladder.

    Attributes:
        name: for people.
        stem_stride: 2 for a network that works at half the resolution.
        channels: of the finest stage; each further one doubles them.
        blocks: residual blocks by stage; the last holds for all deeper ones.
        enough_iterations: with fewer, the next smaller size does better (measured on the lesions of BraTS 2020).
        patch_side: the largest side of a patch that makes sense with this size.
    """

    name: str
    stem_stride: int
    channels: int
    blocks: tuple[int, ...]
    enough_iterations: int
    patch_side: int
    divisor: Size = (1, 1, 1)
    """It is laid over any patch."""

    def part(self, patch_size: Size, spacing_mm: Sequence[float]) -> Part:
        """The network for a patch; see :func:`network_part`."""
        return network_part(self, patch_size, spacing_mm)


@dataclass(frozen=True)
class RecipeRung:
    """A rung of a recipe's ladder: the published network with some of its options changed.

    Attributes:
        network: as published.
        options: instead of the published ones of the same keys.
        name, enough_iterations, patch_side: as in :class:`NetworkSize`.
        divisor: what a patch's sides (z, y, x) must be multiples of.
    """

    network: Part
    options: dict[str, Any]
    name: str
    enough_iterations: int
    patch_side: int
    divisor: Size

    def part(self, patch_size: Size, spacing_mm: Sequence[float]) -> Part:
        """The network; recipes lay theirs over every patch in the same way."""
        return Part(name=self.network.name, options={**self.network.options, **self.options})


LADDER = (
    NetworkSize("large", 1, 32, (1, 3, 4, 6), 50_000, 160),
    NetworkSize("medium", 1, 32, (1, 2, 2, 2), 20_000, 128),
    NetworkSize("small", 1, 16, (1, 1, 2, 2), 8_000, 128),
    NetworkSize("half-resolution", 2, 32, (1, 2, 2, 2), 5_000, 96),
    NetworkSize("half-resolution, narrow", 2, 16, (1, 1, 2, 2), 0, 96),
)
"""From the largest to the smallest."""


def network_part(size: NetworkSize, patch_size: Size, spacing_mm: Sequence[float]) -> Part:
    """The default network of that size for a patch.

    An axis is halved while its side stays at least two voxels and its spacing is below twice the finest, so that
    anisotropic voxels become isotropic first (as in nnU-Net).
    """
    strides: list[list[int]] = [[size.stem_stride if side >= 2 * MIN_SIDE else 1 for side in patch_size]]
    sides = [side // stride for side, stride in zip(patch_size, strides[0], strict=True)]
    spacing = [s * stride for s, stride in zip(spacing_mm, strides[0], strict=True)]
    while True:
        can = [side >= 2 * MIN_SIDE and side % 2 == 0 for side in sides]
        if not any(can):
            break
        finest = min(s for s, possible in zip(spacing, can, strict=True) if possible)
        step = [2 if possible and s < 2 * finest else 1 for s, possible in zip(spacing, can, strict=True)]
        strides.append(step)
        sides = [side // s for side, s in zip(sides, step, strict=True)]
        spacing = [s * step_ for s, step_ in zip(spacing, step, strict=True)]
        if len(strides) == 6:
            break
    if len(strides) == 1:
        strides.append([1, 1, 1])
    count = len(strides)
    return Part(
        name="residual_encoder_unet",
        options={
            "channels": [min(MAX_CHANNELS, size.channels * 2**stage) for stage in range(count)],
            "blocks": [size.blocks[min(stage, len(size.blocks) - 1)] for stage in range(count)],
            "strides": strides,
            "decoder_convolutions": 1,
            "deep_supervision": True,
        },
    )


def standard_network() -> Part:
    """Of the standard training step: a middle size, for patches of 32^3 voxels of 1 mm."""
    return network_part(LADDER[-2], (32, 32, 32), (1.0, 1.0, 1.0))
