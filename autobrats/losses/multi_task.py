"""Cross-entropy of the labels, binary cross-entropy of the regions they make up, and soft Dice (multi-task learning)."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.losses.voxel_mining import MiningKind, VoxelMining


class MultiTask(SegmentationLoss):
    """The loss of Zhao et al., "Bag of Tricks for 3D MRI Brain Tumor Segmentation" (BrainLes 2019), sections 2.3 and 3.3.

    For ``labels``, the sum of three terms: cross-entropy over the softmax of the labels; binary cross-entropy over the
    reorganised categories (figure 6), which are the background and every region, a region's probability being the sum of
    its labels'; and 1 - average Dice (equation 6, with probabilities as the prediction). Without ``region_channels`` the
    second term is left out. For ``regions``, the sum of the regions' binary cross-entropy and 1 - average Dice.

    ``channel_weights`` weigh the channels of the network's output; the reorganised categories all weigh the same. Voxels
    are mined by the sum of their cross-entropy terms; Dice always sees all of them.

    Args:
        cross_entropy_weight, category_weight, dice_weight: of the three terms; ``regions`` have the first and the last.
        dice_background: whether the background is one of the labels that Dice is averaged over. The paper's n = 4 labels
            are the background and the three of the tumour.
        batch_dice: Dice's sums run over the batch as well, not over each sample.
        smooth: voxels that are added to Dice's numerator and denominator, so that an absent label costs nothing.
        mining, hard_share_start, hard_share_end, gamma: which voxels the cross-entropy terms learn from; see
            :class:`~autobrats.losses.voxel_mining.VoxelMining`.

    Raises:
        ValueError: for a negative weight or ``smooth``, or options that mining refuses.
    """

    def __init__(
        self,
        output: Literal["regions", "labels"],
        channel_weights: Tensor,
        cross_entropy_weight: float = 1.0,
        category_weight: float = 1.0,
        dice_weight: float = 1.0,
        dice_background: bool = True,
        batch_dice: bool = True,
        smooth: float = 1.0,
        mining: MiningKind = "none",
        hard_share_start: float = 1.0,
        hard_share_end: float = 0.1,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(output, channel_weights)
        if not min(cross_entropy_weight, category_weight, dice_weight) >= 0:
            raise ValueError(
                "cross_entropy_weight, category_weight and dice_weight must not be negative, "
                f"got {cross_entropy_weight}, {category_weight} and {dice_weight}"
            )
        if not smooth >= 0:
            raise ValueError(f"smooth must not be negative, got {smooth}")
        self.cross_entropy_weight, self.category_weight = cross_entropy_weight, category_weight
        self.dice_weight, self.dice_background = dice_weight, dice_background
        self.batch_dice, self.smooth = batch_dice, smooth
        self.mining = VoxelMining(mining, hard_share_start, hard_share_end, gamma)

    def of_scale(self, logits: Tensor, target: Tensor) -> Tensor:
        entropy_of = self._region_entropy if self.output == "regions" else self._both_entropies
        entropy = self.mining.average(entropy_of(logits, target), self.progress)
        return entropy + self.dice_weight * self._dice(logits, target)

    def _region_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy of every voxel, the weighted mean of the regions; shape (batch, z, y, x)."""
        weights = self.channel_weights / self.channel_weights.sum()
        each = self._binary_cross_entropy(logits, target)
        return self.cross_entropy_weight * (each * weights[:, None, None, None]).sum(1)

    def _both_entropies(self, logits: Tensor, target: Tensor) -> Tensor:
        """Both cross-entropies of every voxel, summed; shape (batch, z, y, x)."""
        entropy = self.cross_entropy_weight * self._label_entropy(logits, target)
        if not self.region_channels or self.category_weight == 0:
            return entropy
        return entropy + self.category_weight * self._category_entropy(logits, target)

    def _label_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy over the labels; the voxels' weights have the mean 1."""
        entropy = -(torch.log_softmax(logits, 1) * target).sum(1)
        weights = (target * self.channel_weights[:, None, None, None]).sum(1)
        return self.mining.modulate(entropy) * weights / weights.mean().clamp(min=1e-6)

    def _category_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy, the mean of the background and the regions."""
        each = [
            self._binary_cross_entropy(logit_of_sum(logits, labels), target[:, labels].sum(1))
            for labels in ([0], *self.region_channels)
        ]
        return torch.stack(each).mean(0)

    def _binary_cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.mining.modulate(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"))

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        probabilities, weights = self.probabilities(logits), self.channel_weights
        if self.output == "labels" and not self.dice_background:
            probabilities, target, weights = probabilities[:, 1:], target[:, 1:], weights[1:]
        axes = (0, 2, 3, 4) if self.batch_dice else (2, 3, 4)
        overlap = (probabilities * target).sum(axes)
        size = probabilities.sum(axes) + target.sum(axes)
        similarity = (2 * overlap + self.smooth) / (size + self.smooth)
        return ((1 - similarity) * weights).sum(-1).mean() / weights.sum()


def logit_of_sum(logits: Tensor, members: list[int]) -> Tensor:
    """log(p / (1 - p)) of the sum p of some channels' softmax, exact however close p is to 0 or 1.

    Args:
        logits: of the softmax, shape (batch, channel, z, y, x).
        members: the channels that are added up; neither none nor all of them.

    Returns:
        Shape (batch, z, y, x).
    """
    channels = logits.unbind(1)
    others = [channel for index, channel in enumerate(channels) if index not in members]
    inside = functools.reduce(torch.logaddexp, [channels[index] for index in members])
    return inside - functools.reduce(torch.logaddexp, others)
