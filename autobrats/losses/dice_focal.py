"""Dice loss plus focal loss, as tweedy2021 writes them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.segmentation_loss import SegmentationLoss


class DiceFocal(SegmentationLoss):
    """D + F of tweedy2021 (slides "Training and loss function"), for each sample and channel, then averaged.

    D = 1 - 2 (sum p y + eps) / (sum (p + y) + eps), exactly as written: since eps stands twice in the numerator, D is -1
    where nothing is true and nothing predicted, and -eps / (2 sum y + eps), a little below 0, at perfect overlap. That
    moves the value, and makes silence on an absent class the best of answers.

    F = -sum (1 - p_t)^gamma ln p_t with p_t = p where y = 1 and 1 - p where y = 0 (Zhu et al., 2018; Lin et al., 2017).
    For the soft targets of coarser resolutions: -(y (1 - p)^gamma ln p + (1 - y) p^gamma ln(1 - p)).

    With ``labels``, p is the softmax, each channel is treated as above, and the background has no Dice term.

    Args:
        gamma: how much confident, correct voxels are played down; 0 is cross-entropy.
        epsilon: in voxels; the slides give no value. With 1, an absent class still has a gradient when a few voxels of it
            are predicted; with 1e-6 it would have none.
        focal_reduction: ``sum`` over the voxels is what the slides write, and outweighs D, which is at most 1, by the
            number of voxels (about 10^6 in a patch of 128^3): the Dice term would not count. ``mean``, the default,
            keeps the two of one size, and is what trains the sum D + F that the slides speak of.
        batch_dice: the sums of D run over the batch as well, not over each sample.

    Raises:
        ValueError: if gamma is negative, epsilon not positive, or the reduction neither of the two.
    """

    def __init__(
        self,
        output: Literal["regions", "labels"],
        channel_weights: Tensor,
        gamma: float = 2.0,
        epsilon: float = 1.0,
        focal_reduction: Literal["sum", "mean"] = "mean",
        batch_dice: bool = False,
    ) -> None:
        super().__init__(output, channel_weights)
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        if epsilon <= 0:
            raise ValueError(f"epsilon must be above 0, got {epsilon}")
        if focal_reduction not in ("sum", "mean"):
            raise ValueError(f"focal_reduction must be 'sum' or 'mean', got {focal_reduction!r}")
        self.gamma, self.epsilon, self.batch_dice = gamma, epsilon, batch_dice
        self.focal_reduction = focal_reduction

    def of_scale(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._dice(logits, target) + self._focal(logits, target)

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        probabilities, weights = self.probabilities(logits), self.channel_weights
        if self.output == "labels":
            probabilities, target, weights = probabilities[:, 1:], target[:, 1:], weights[1:]
        axes = (0, 2, 3, 4) if self.batch_dice else (2, 3, 4)
        overlap, size = (probabilities * target).sum(axes), (probabilities + target).sum(axes)
        loss = 1 - 2 * (overlap + self.epsilon) / (size + self.epsilon)
        return (loss * weights).sum(-1).mean() / weights.sum()

    def _focal(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.output == "labels":
            logits = _against_all_others(logits)
        log_p, log_not_p = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        each = -(
            target * torch.exp(self.gamma * log_not_p) * log_p
            + (1 - target) * torch.exp(self.gamma * log_p) * log_not_p
        )
        each = each.sum((2, 3, 4)) if self.focal_reduction == "sum" else each.mean((2, 3, 4))
        return (each.mean(0) * self.channel_weights).sum() / self.channel_weights.sum()


def _against_all_others(logits: Tensor) -> Tensor:
    """The logits whose sigmoid is the softmax: x_c - ln sum over the other channels of exp x."""
    channels = range(logits.shape[1])
    others = [torch.cat([logits[:, :c], logits[:, c + 1 :]], 1).logsumexp(1) for c in channels]
    return logits - torch.stack(others, 1)
