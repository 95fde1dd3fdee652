"""Which voxels a loss learns from: all of them, the hardest alone, or all with the easy ones played down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

MiningKind = Literal["none", "hard", "focal"]

_SMALLEST = torch.finfo(torch.float32).eps
"""A power below 1 has an infinite slope at 0, so 1 - p_t never counts as less than this."""


@dataclass(frozen=True)
class VoxelMining:
    """Hard sample mining (Zhao et al., BrainLes 2019, section 2.1): a step between voxelwise losses and their mean.

    Args:
        kind: ``none``; ``hard``: the mean over the share of voxels with the largest loss, the others get no gradient;
            ``focal``: cross-entropies are multiplied by (1 - p_t)^gamma (equations 1 and 2; Lin et al., ICCV 2017).
        hard_share_start, hard_share_end: the share of the voxels that ``hard`` keeps at the start and at the end of the
            training, linear in between. The paper's text has lost its percentages; 10 % is what top-k losses usually keep.
        gamma: how strongly ``focal`` plays easy voxels down; Lin et al. found 2 best.

    Raises:
        ValueError: for another kind, shares that are not in (0, 1] or grow, or a negative gamma.
    """

    kind: MiningKind = "none"
    hard_share_start: float = 1.0
    hard_share_end: float = 0.1
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(MiningKind):
            raise ValueError(f"mining must be one of {', '.join(get_args(MiningKind))}, got {self.kind!r}")
        if not 0 < self.hard_share_end <= self.hard_share_start <= 1:
            raise ValueError(
                "hard_share_start and hard_share_end must be in (0, 1], the second not above the first, "
                f"got {self.hard_share_start} and {self.hard_share_end}"
            )
        if not self.gamma >= 0:
            raise ValueError(f"gamma must not be negative, got {self.gamma}")

    def modulate(self, cross_entropy: Tensor) -> Tensor:
        """Cross-entropies -log(p_t) of any shape; if the kind is ``focal``, small ones are played down."""
        if self.kind != "focal":
            return cross_entropy
        return (-torch.expm1(-cross_entropy)).clamp(min=_SMALLEST) ** self.gamma * cross_entropy

    def average(self, losses: Tensor, progress: float) -> Tensor:
        """The mean of voxelwise losses, a scalar; if the kind is ``hard``, over the hardest voxels alone.

        Args:
            losses: of all voxels of the batch, any shape; they are ranked together.
            progress: the share of the training that is done, 0..1.
        """
        share = self.hard_share_start + (self.hard_share_end - self.hard_share_start) * min(max(progress, 0.0), 1.0)
        if self.kind != "hard" or share == 1:
            return losses.mean()
        return losses.flatten().topk(max(1, round(share * losses.numel())), sorted=False).values.mean()
