"""Several predictions of one study made into one, taken in one after the other."""

from __future__ import annotations

from typing import Literal

import numpy as np

from autobrats.dataset.conventions import Convention

Combination = Literal["mean", "majority", "staple"]
"""``mean``: the weighted average of the probabilities; ``majority``: the weighted share of the votes; ``staple``: the
probability of the hidden true segmentation that explains all votes best (Warfield et al. 2004,
doi:10.1109/TMI.2004.828354), without weights."""


class Combiner:
    """Takes predictions one by one; except for STAPLE, whose votes are kept, only one sum is in memory.

    Args:
        how: see :data:`Combination`.
        convention: by which a prediction's vote is decided, so that its regions fit each other.
    """

    def __init__(self, how: Combination, convention: Convention) -> None:
        self.how, self.convention = how, convention
        self._sum: np.ndarray | None = None
        self._weight = 0.0
        self._votes: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, weight: float = 1.0) -> None:
        """Take a prediction: float32 in 0..1, (region, ...); all of one shape."""
        if self.how == "staple":
            self._votes.append(self._vote(probabilities))
            return
        part = probabilities if self.how == "mean" else self._vote(probabilities)
        part = part * np.float32(weight)
        self._sum = part if self._sum is None else np.add(self._sum, part, out=self._sum)
        self._weight += weight

    def result(self) -> np.ndarray:
        """The combination: float32 in 0..1, of the same shape.

        Raises:
            ValueError: if nothing was taken.
        """
        if self.how == "staple" and self._votes:
            return self._staple()
        if self._sum is None:
            raise ValueError("there is no prediction to combine")
        return self._sum / np.float32(self._weight)

    def _vote(self, probabilities: np.ndarray) -> np.ndarray:
        """0 and 1, uint8, by region."""
        return self.convention.to_regions(self.convention.decide(probabilities))

    def _staple(self) -> np.ndarray:
        """Region by region, over the voxels that somebody has voted for; elsewhere all agree on 0."""
        import SimpleITK

        result = np.zeros(self._votes[0].shape, np.float32)
        for region in range(len(result)):
            votes = np.stack([vote[region] for vote in self._votes])
            open_to_vote = votes.any(0)
            if (votes == votes[0]).all():
                result[region] = votes[0]
                continue
            images = [SimpleITK.GetImageFromArray(np.atleast_2d(vote[open_to_vote])) for vote in votes]
            result[region][open_to_vote] = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images)).ravel()
        return result
