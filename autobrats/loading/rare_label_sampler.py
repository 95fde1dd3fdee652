"""Where to take a patch: in the brain, and the more often around a label the rarer it is."""

from __future__ import annotations

import numpy as np

from autobrats.loading.foreground_sampler import Start, patch_start
from autobrats.loading.training_cases import TrainingCase


class RareLabelSampler:
    """A share of the patches lies anywhere in the brain, the others around voxels of labels, rare ones preferred.

    After Anand et al., "Brain Tumor Segmentation and Survival Prediction using Automatic Hard mining in 3D CNN
    Architecture" (BrainLes 2020), section 3.2 ("many patches are extracted from less frequent classes such as necrosis").
    A label that has n of the case's voxels is drawn with a probability proportional to n^-exponent, then one of its
    voxels, each equally likely. Labels, not regions: they do not overlap, and necrosis is one of them. They are counted
    in the whole mask when a case comes up for the first time (some 20 ms for a study at 1 mm), since a case's
    ``locations`` stop at some thousands of voxels a region.

    Args:
        exponent: 0 draws all labels of the case equally often, 1 in inverse proportion to their volume; between the two,
            a label of a few voxels does not take nearly all patches of its case.
        brain_share: the probability of a patch around any voxel of the brain; a quarter treats the background as one of
            the paper's four classes.
        non_overlapping: the patch is the cell, around the drawn voxel, of a fixed grid without overlaps that is centred on
            the volume and covers it (section 4); else the patch is centred on the voxel as far as it stays inside.
    """

    def __init__(self, exponent: float = 0.5, brain_share: float = 0.25, non_overlapping: bool = False) -> None:
        if not exponent >= 0:
            raise ValueError(f"exponent must not be negative, got {exponent}")
        if not 0 <= brain_share <= 1:
            raise ValueError(f"brain_share must be in [0, 1], got {brain_share}")
        self.exponent, self.brain_share, self.non_overlapping = exponent, brain_share, non_overlapping
        self._labels: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}

    def draw(self, case: TrainingCase, patch_size: tuple[int, int, int], rng: np.random.Generator) -> Start:
        """The first voxel (z, y, x) of a patch; negative where the volume, or the grid's cell, does not fill it.

        A case without labels is drawn in its brain, and one without a brain anywhere.
        """
        voxel = self._draw_voxel(case, rng)
        if self.non_overlapping:
            if voxel is None:
                voxel = rng.integers(case.shape)
            return _cell_start(case.shape, patch_size, voxel)
        return patch_start(case.shape, patch_size, voxel, rng)

    def _draw_voxel(self, case: TrainingCase, rng: np.random.Generator) -> np.ndarray | None:
        """A voxel (z, y, x) to take the patch around; None if the case has neither labels nor a brain."""
        if case.name not in self._labels:
            self._labels[case.name] = voxels_by_label(case)
        counts, voxels = self._labels[case.name]
        brain = case.locations.get("brain", np.zeros((0, 3), np.int16))
        if len(brain) and (rng.random() < self.brain_share or not len(counts)):
            return brain[rng.integers(len(brain))]
        if not len(counts):
            return None
        weights = (counts / counts.min()) ** -self.exponent
        chosen = voxels[rng.choice(len(counts), p=weights / weights.sum())]
        return chosen[rng.integers(len(chosen))]


def voxels_by_label(case: TrainingCase) -> tuple[np.ndarray, list[np.ndarray]]:
    """How many voxels each label of a case has, shape (label,), and coordinates (n, 3) of them or, if many, of some.

    The coordinates are those of the case's ``locations`` that have the label: a random choice among a region's voxels is
    one among each of its labels', so the region with the most of a label is taken.
    """
    mask = np.asarray(case.mask[:])
    counts = np.bincount(mask[mask > 0], minlength=256)
    found: dict[int, np.ndarray] = {}
    for region, locations in case.locations.items():
        if region == "brain" or not len(locations):
            continue
        labels = mask[tuple(locations.T)]
        for label in np.unique(labels):
            voxels = locations[labels == label]
            if len(voxels) > len(found.get(label, ())):
                found[label] = voxels
    return counts[list(found)], list(found.values())


def _cell_start(shape: tuple[int, int, int], patch_size: tuple[int, int, int], voxel: np.ndarray) -> Start:
    """The first voxel of the grid's cell that holds a voxel; the outermost cells reach equally far beyond both ends."""
    size, patch = np.array(shape), np.array(patch_size)
    first = (size - -(-size // patch) * patch) // 2
    z, y, x = (first + (voxel - first) // patch * patch).tolist()
    return z, y, x
