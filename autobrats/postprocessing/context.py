"""What a postprocessing step is given, and the steps one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autobrats.dataset.conventions import Convention


@dataclass(frozen=True)
class PostprocessingContext:
    """What is known of a study beside its probabilities, on the network's grid.

    Attributes:
        convention: the regions, in the order of the probabilities, and the labels that make them up.
        images: float32, (modality, z, y, x), as the network saw them: normalised, the background 0.
        spacing_mm: of the grid, along (z, y, x).
        slices: what the network's slice-classification branch says, probabilities in 0..1 of shape (region, slice); None
            if the network has none.
        slice_axis: the axis of (z, y, x) that the slices follow: 0, 1 or 2.
    """

    convention: Convention
    images: np.ndarray
    spacing_mm: tuple[float, float, float]
    slices: np.ndarray | None = None
    slice_axis: int = 0

    @property
    def regions(self) -> list[str]:
        """The names of the regions, in the order of the probabilities."""
        return list(self.convention.regions)

    @property
    def exclusive(self) -> bool:
        """True if no label belongs to two regions (plain labels)."""
        return self.convention.exclusive

    @property
    def members(self) -> dict[str, list[int]]:
        """The labels that make up each region."""
        return self.convention.regions

    def inner_regions(self, region: str) -> list[int]:
        """The places of the regions that lie inside a region and are not all of it: TC and ET in WT."""
        outer = set(self.members[region])
        return [place for place, labels in enumerate(self.members.values()) if set(labels) < outer]


class PostprocessingStep(Protocol):
    """A step: from region probabilities to region probabilities.

    Both are float32 in 0..1 (or uint8, see ``takes_levels``), of shape (region, z, y, x) on the network's grid. A step returns
    a new array, or its input as it is, and never writes into its input. To take a voxel from a region is to set its
    probability there to 0. A step that reads ``context.slices`` says so by an attribute ``needs_slices = True``; one that
    does not read ``context.images`` may say so by ``needs_images = False``, and then gets empty ones of the right shape. One
    that also takes probabilities in uint8, 0..255, and gives them back as such, may say so by ``takes_levels = True``: it gets
    uint8 where every step of the configuration says so, which spares the way through float32, and float32 elsewhere.
    """

    def __call__(self, probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray: ...


def stages(
    steps: Sequence[PostprocessingStep], probabilities: np.ndarray, context: PostprocessingContext
) -> Iterator[np.ndarray]:
    """The probabilities as they are, after the first step, after the second, and so on.

    Args:
        steps: in the order in which they are taken.
        probabilities: float32 in 0..1, or, for steps that all have ``takes_levels``, uint8, 0..255; (region, z, y, x); left
            as they are.
        context: the study.

    Raises:
        ValueError: if the probabilities' shape is not that of the context's regions and images.
    """
    expected = (len(context.regions), *context.images.shape[1:])
    if probabilities.shape != expected:
        raise ValueError(f"probabilities of shape {probabilities.shape} for regions on a grid of {expected}")
    yield probabilities
    for step in steps:
        probabilities = step(probabilities, context)
        yield probabilities


def levels_after(steps: Sequence[PostprocessingStep], levels: np.ndarray, context: PostprocessingContext) -> np.ndarray:
    """Probabilities in uint8, 0..255, after all steps; in float32 between them only where a step needs it.

    Args:
        steps, context: as for :func:`stages`.
        levels: uint8, (region, z, y, x); left as they are.
    """
    if all(getattr(step, "takes_levels", False) for step in steps):
        *_, levels = stages(steps, levels, context)
        return levels
    *_, probabilities = stages(steps, levels.astype(np.float32) / 255, context)
    return np.rint(probabilities * 255).astype(np.uint8)
