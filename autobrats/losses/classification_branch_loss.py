"""The loss of networks that also classify slices: focal and Dice of the voxels, focal and cross-entropy of the slices."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis, in_plane_dimensions


class ClassificationBranchLoss(SegmentationLoss):
    """L = L_focal_seg + L_dice + L_focal_cls + L_BCE (Nguyen et al., BrainLes 2020, section 2.4, equation 3).

    Dice (equation 1) is that of each sample and region by itself, 1 - 2 sum p g / (sum p^2 + sum g^2 + epsilon). A region
    that a sample does not have costs 1 whatever is predicted, and teaches nothing: there, only focal loss does. Focal
    loss (equation 2) and binary cross-entropy are means over voxels, or slices. A slice's target is whether any of its
    voxels belongs to the region. All four terms are means over the regions, weighted by their channel weights.

    Without a classification branch (``NetworkOutput.slices`` is None) the last two terms are left out.

    Args:
        output: ``regions``.
        channel_weights: shape (region,), the weight of each region.
        gamma: of focal loss, how little it minds what is already right; 0 makes it cross-entropy.
        alpha: of focal loss, the weight of voxels (slices) with the region; those without get 1 - alpha. None weighs both
            by 1. The paper gives neither; gamma is 2 by default, as Lin et al. (ICCV 2017) recommend.
        epsilon: keeps the denominator of Dice from zero.
        classification_weight: the share of the two terms of the slices.
        slice_axis: which way slices are counted, the same as in the network.

    Raises:
        ValueError: for a wrong option, ``output`` among them: the paper trains regions, which may share voxels.
    """

    def __init__(
        self,
        output: Literal["regions", "labels"],
        channel_weights: Tensor,
        gamma: float = 2.0,
        alpha: float | None = None,
        epsilon: float = 1e-5,
        classification_weight: float = 1.0,
        slice_axis: SliceAxis = "axial",
    ) -> None:
        super().__init__(output, channel_weights)
        if output != "regions":
            raise ValueError(f"the classification-branch loss needs the output 'regions', not {output!r}")
        if gamma < 0:
            raise ValueError(f"gamma must be at least 0, not {gamma}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
        if epsilon <= 0:
            raise ValueError(f"epsilon must be more than 0, not {epsilon}")
        if classification_weight < 0:
            raise ValueError(f"classification_weight must be at least 0, not {classification_weight}")
        self.gamma, self.alpha, self.epsilon = gamma, alpha, epsilon
        self.classification_weight = classification_weight
        self.in_plane = in_plane_dimensions(slice_axis)

    def forward(self, output: NetworkOutput, target: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            output: logits of shape (batch, region, z, y, x), coarser ones, and those of the slices, (batch, region, slices).
            target: the true regions in 0..1, shape (batch, region, z, y, x).

        Raises:
            ValueError: if the network classifies another number of slices than the target has along ``slice_axis``.
        """
        loss = super().forward(output, target)
        if output.slices is None:
            return loss
        present = (target.amax(self.in_plane) > 0).float()
        if output.slices.shape != present.shape:
            raise ValueError(
                f"the network's slices have the shape {tuple(output.slices.shape)}, the target's "
                f"{tuple(present.shape)}: the network and its loss need the same slice_axis"
            )
        return loss + self.classification_weight * self.of_slices(output.slices.float(), present)

    def of_scale(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._over_regions(self._focal(logits, target)) + self._over_regions(self._dice(logits, target))

    def of_slices(self, logits: Tensor, present: Tensor) -> Tensor:
        """Focal loss plus cross-entropy of slices, a scalar.

        Args:
            logits: shape (batch, region, slices).
            present: 1 where the region is in the slice, else 0, of the same shape.
        """
        entropy = functional.binary_cross_entropy_with_logits(logits, present, reduction="none")
        return self._over_regions(self._focal(logits, present)) + self._over_regions(entropy)

    def _focal(self, logits: Tensor, target: Tensor) -> Tensor:
        """Focal loss of every element. In logarithms, so that no power of a vanishing probability has to be derived."""
        log_p, log_q = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        inside, outside = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        hit = inside * target * torch.exp(self.gamma * log_q) * log_p
        return -(hit + outside * (1 - target) * torch.exp(self.gamma * log_p) * log_q)

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        """Dice loss, shape (batch, region)."""
        p, axes = self.probabilities(logits), (2, 3, 4)
        size = p.square().sum(axes) + target.square().sum(axes)
        return 1 - 2 * (p * target).sum(axes) / (size + self.epsilon)

    def _over_regions(self, values: Tensor) -> Tensor:
        """The weighted mean over regions of the mean over all else; values of shape (batch, region, ...)."""
        each = values.transpose(0, 1).flatten(1).mean(1)
        return (each * self.channel_weights).sum() / self.channel_weights.sum()
