"""Slices that the network's slice-classification branch clears of a region."""

from __future__ import annotations

import numpy as np

from autobrats.postprocessing.context import PostprocessingContext


class SliceGate:
    """Empties a region in the slices whose branch says that it is not there (Nguyen et al., BraTS 2020, section 3.3).

    A region inside an emptied one is emptied in that slice too: without WT there is no TC and no ET.

    Args:
        threshold: a slice loses a region if the branch's probability of it is below this; the paper's is 0.5.

    Raises:
        ValueError: if the threshold is not in 0..1; when called, if the network has no such branch, or its slices do not
            fit the volume's.
    """

    needs_slices = True
    """Read before predicting: the answer of the branch is computed and kept only where a step says so."""

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in 0..1, not {threshold}")
        self.threshold = threshold

    def __call__(self, probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray:
        if context.slices is None:
            raise ValueError("slices can be gated only with a network that has a slice-classification branch")
        expected = (len(probabilities), probabilities.shape[1 + context.slice_axis])
        if context.slices.shape != expected:
            raise ValueError(f"the slices' probabilities have the shape {context.slices.shape}, not {expected}")
        result = probabilities.copy()
        along_slices = np.moveaxis(result, 1 + context.slice_axis, 1)
        for place, region in enumerate(context.regions):
            empty = context.slices[place] < self.threshold
            for affected in (place, *context.inner_regions(region)):
                along_slices[affected, empty] = 0
        return result
