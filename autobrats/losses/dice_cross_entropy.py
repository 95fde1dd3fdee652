"""Soft Dice plus cross-entropy (the default loss)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.segmentation_loss import SegmentationLoss


class DiceCrossEntropy(SegmentationLoss):
    """Soft Dice (Milletari et al., 3DV 2016; Drozdzal et al., 2016) plus cross-entropy, each region by itself.

    Dice of channel c over the batch: 1 - (2 sum p t + s) / (sum p + sum t + s). Cross-entropy is binary for each region,
    or over the labels. The background has no Dice term.

    Args:
        dice_weight, cross_entropy_weight: the shares of the two terms.
        batch_dice: sums run over the batch as well, not over each sample.
        smooth: the s of the formula, in voxels.
        weighted_dice: the weights of the channels hold for the Dice term as well, not for the cross-entropy alone.
    """

    def __init__(
        self,
        output: Literal["regions", "labels"],
        channel_weights: Tensor,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        batch_dice: bool = True,
        smooth: float = 1.0,
        weighted_dice: bool = True,
    ) -> None:
        super().__init__(output, channel_weights)
        self.dice_weight, self.cross_entropy_weight = dice_weight, cross_entropy_weight
        self.batch_dice, self.smooth, self.weighted_dice = batch_dice, smooth, weighted_dice

    def of_scale(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.dice_weight * self._dice(logits, target) + self.cross_entropy_weight * self._cross_entropy(
            logits, target
        )

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        probabilities, weights = self.probabilities(logits), self.channel_weights
        if not self.weighted_dice:
            weights = torch.ones_like(weights)
        if self.output == "labels":
            probabilities, target, weights = probabilities[:, 1:], target[:, 1:], weights[1:]
        axes = (0, 2, 3, 4) if self.batch_dice else (2, 3, 4)
        overlap = (probabilities * target).sum(axes)
        size = probabilities.sum(axes) + target.sum(axes)
        loss = 1 - (2 * overlap + self.smooth) / (size + self.smooth)
        return (loss * weights).sum(-1).mean() / weights.sum()

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.output == "regions":
            each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((0, 2, 3, 4))
            return (each * self.channel_weights).sum() / self.channel_weights.sum()
        weights = self.channel_weights[:, None, None, None]
        weighted = (torch.log_softmax(logits, 1) * target * weights).sum()
        return -weighted / (target * weights).sum().clamp(min=1e-6)
