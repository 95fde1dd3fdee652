"""A fully connected conditional random field over the modalities, in 3D."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.ndimage import correlate1d

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.distances import distances_inside
from autobrats.postprocessing.context import PostprocessingContext
from autobrats.postprocessing.exclusive_labels import ExclusiveLabels
from autobrats.postprocessing.permutohedral_lattice import PermutohedralLattice

Filter = Callable[[np.ndarray], np.ndarray]
"""From values of shape (voxel, channel), not negative, to sum_j k(f_i, f_j) v_j over all other voxels j."""

SURE = 0.01
"""Where every region's probability is below this, and not near a voxel where one is above, nothing is changed."""

_SMALLEST_PROBABILITY = 1e-6
"""Of a label, so that a network that is certain of another one has a finite say."""

_TRUNCATION = 4.0
"""Standard deviations at which the smoothness kernel ends: exp(-8) = 0.0003 there."""


class DenseCRF:
    """The mean field of a fully connected CRF with Gaussian edges (Kraehenbuehl and Koltun, NIPS 2011, algorithm 1).

    Every pair of voxels is joined by an appearance and a smoothness kernel (their equation 3), with positions p in mm
    and intensities I of all modalities as the network saw them:

        w1 exp(-|p_i - p_j|^2 / (2 theta_alpha^2) - |I_i - I_j|^2 / (2 theta_beta^2))
        + w2 exp(-|p_i - p_j|^2 / (2 theta_gamma^2))

    and a Potts model: only different labels cost. The unary costs are -log of the labels' probabilities; see
    :class:`ExclusiveLabels` for how regions become labels and labels regions again. Each kernel is normalised
    symmetrically, k_ij / sqrt(sum_l k_il sum_l k_jl) with l = i in the sums, as in the authors' code: the weights then
    depend neither on the voxels' size nor on their number, and the messages to a voxel add up to about w1 + w2 at most.

    Two approximations make it fast. The appearance kernel is filtered on a permutohedral lattice, as in the paper. And
    the field is over the voxels around the tumour, at most ``margin_mm`` from one where some region's probability
    is above 0.01; elsewhere the probabilities stay as they are.

    The defaults are cautious ones of a coarse search over 41 lesions of BraTS 2020 and a small network: on 40 others the
    mean Dice rose from 0.718 to 0.743. A network that has learnt more leaves less to gain.

    Args:
        appearance_weight: w1; 0 leaves the kernel out.
        smoothness_weight: w2; 0 leaves the kernel out.
        appearance_mm: theta_alpha.
        appearance_intensity: theta_beta, in units of the normalised images (standard deviations of the brain).
        smoothness_mm: theta_gamma.
        iterations: updates of the mean field.
        margin_mm: how far around the tumour the field reaches.

    Raises:
        ValueError: if a weight or the margin is negative, a theta or the number of iterations is not above 0, or one is not
            finite; when called, if the thetas are too small for the lattice.
    """

    def __init__(
        self,
        appearance_weight: float = 2.0,
        smoothness_weight: float = 1.0,
        appearance_mm: float = 10.0,
        appearance_intensity: float = 0.5,
        smoothness_mm: float = 1.0,
        iterations: int = 5,
        margin_mm: float = 10.0,
    ) -> None:
        for name, value in (
            ("appearance_weight", appearance_weight),
            ("smoothness_weight", smoothness_weight),
            ("margin_mm", margin_mm),
        ):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, not {value}")
        for name, value in (
            ("appearance_mm", appearance_mm),
            ("appearance_intensity", appearance_intensity),
            ("smoothness_mm", smoothness_mm),
        ):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {value}")
        if not float(iterations).is_integer() or iterations < 1:
            raise ValueError(f"iterations must be a whole number above 0, not {iterations}")
        self.appearance_weight, self.smoothness_weight = appearance_weight, smoothness_weight
        self.appearance_mm, self.appearance_intensity = appearance_mm, appearance_intensity
        self.smoothness_mm, self.iterations, self.margin_mm = smoothness_mm, int(iterations), margin_mm

    def __call__(self, probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray:
        box, inside = _around(probabilities.max(0) > SURE, context.spacing_mm, self.margin_mm)
        result = probabilities.copy()
        if not inside.any():
            return result
        labels = ExclusiveLabels(context.convention)
        edges = []
        if self.appearance_weight:
            features = self._appearance_features(context.images[(slice(None), *box)], context.spacing_mm, inside)
            edges.append((self.appearance_weight, _others_on_lattice(PermutohedralLattice(features))))
        if self.smoothness_weight:
            kernels = [_gaussian(self.smoothness_mm / spacing) for spacing in context.spacing_mm]
            edges.append((self.smoothness_weight, lambda values: _smooth(values, kernels, inside) - values))
        region_box = result[(slice(None), *box)]
        marginals = mean_field(labels.of_regions(region_box[:, inside]), edges, self.iterations)
        region_box[:, inside] = labels.to_regions(marginals)
        return result

    def _appearance_features(
        self, images: np.ndarray, spacing_mm: tuple[float, float, float], inside: np.ndarray
    ) -> np.ndarray:
        """Positions and intensities of the voxels inside in units of their thetas: float32, (voxel, dimension)."""
        features = np.empty((np.count_nonzero(inside), 3 + len(images)), np.float32)
        features[:, :3] = np.argwhere(inside) * (np.asarray(spacing_mm) / self.appearance_mm)
        features[:, 3:] = images[:, inside].T / self.appearance_intensity
        return features


def mean_field(probabilities: np.ndarray, edges: list[tuple[float, Filter]], iterations: int) -> np.ndarray:
    """The approximate marginals of a fully connected CRF with Potts compatibility.

    Args:
        probabilities: of the labels before, float32 (voxel, label), summing to 1; their -log is the unary cost.
        edges: a weight and a filter for each kernel.
        iterations: of message passing, compatibility transform and update, in parallel for all voxels.

    Returns:
        float32, (voxel, label), summing to 1.
    """
    evidence = np.log(np.maximum(probabilities, _SMALLEST_PROBABILITY))
    ones = np.ones((len(probabilities), 1), np.float32)
    scales = [1 / np.sqrt(1 + edge_filter(ones)) for _, edge_filter in edges]
    marginals = _softmax(evidence)
    for _ in range(iterations):
        scores = evidence.copy()
        for (weight, edge_filter), scale in zip(edges, scales, strict=True):
            message = edge_filter(scale * marginals)
            message *= weight * scale
            scores += message
        marginals = _softmax(scores)
    return marginals


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores = np.exp(scores - scores.max(1, keepdims=True))
    scores /= scores.sum(1, keepdims=True)
    return scores


def _around(
    mask: np.ndarray, spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """A box (z, y, x) and which of its voxels are at most a margin from the mask."""
    tight = bounding_slices(mask)
    if tight is None:
        nothing = (slice(0, 0), slice(0, 0), slice(0, 0))
        return nothing, mask[nothing]
    reach = [math.ceil(margin_mm / spacing) for spacing in spacing_mm]
    z, y, x = (
        slice(max(0, side.start - more), min(size, side.stop + more))
        for side, more, size in zip(tight, reach, mask.shape, strict=True)
    )
    box = (z, y, x)
    return box, distances_inside(~mask[box], spacing_mm) <= margin_mm


def _others_on_lattice(lattice: PermutohedralLattice) -> Filter:
    own = lattice.self_weights[:, None]
    return lambda values: np.maximum(lattice.filter(values) - own * values, 0)


def _gaussian(sigma: float) -> np.ndarray:
    """exp(-n^2 / (2 sigma^2)) at whole numbers n around 0; float32."""
    radius = max(1, math.ceil(_TRUNCATION * sigma))
    return np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)


def _smooth(values: np.ndarray, kernels: list[np.ndarray], inside: np.ndarray) -> np.ndarray:
    """Values (voxel, channel) of the voxels inside a box, convolved with a kernel along each axis of the box."""
    result = np.empty(values.shape, np.float32)
    volume = np.zeros(inside.shape, np.float32)
    for channel, column in enumerate(values.T):
        volume[inside] = column
        smoothed = volume
        for axis, kernel in enumerate(kernels):
            smoothed = correlate1d(smoothed, kernel, axis, mode="constant")
        result[:, channel] = smoothed[inside]
    return result
