"""What a slice-classification branch says of the slices of a whole volume, collected over its windows."""

from __future__ import annotations

import torch
from torch import Tensor


class SliceVotes:
    """The probability that a slice holds a region: the largest that any window over the slice gives.

    A region may lie in one window of a slice and not in its neighbour, so a slice is empty only if all windows say so.
    Slices that no window covers, being outside the brain, are empty.

    Args:
        axis: of the volume, 0 for z (axial slices), 1 for y, 2 for x.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self._probabilities: Tensor | None = None

    def add(self, start: int, probabilities: Tensor, slices: int) -> None:
        """Take a window's answer.

        Args:
            start: the window's first slice.
            probabilities: (region, slice of the window).
            slices: of the volume.
        """
        probabilities = probabilities.float().cpu()
        if self._probabilities is None:
            self._probabilities = torch.zeros((len(probabilities), slices))
        where = self._probabilities[:, start : start + probabilities.shape[1]]
        torch.maximum(where, probabilities, out=where)

    def result(self, inner: slice, regions: int) -> Tensor:
        """The probabilities, (region, slice), of the volume without its padding; ``inner`` is where it lies."""
        if self._probabilities is None:
            return torch.zeros((regions, inner.stop - inner.start))
        return self._probabilities[:, inner]
