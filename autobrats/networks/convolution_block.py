"""Convolution, group normalisation, ReLU: what the networks of Nguyen et al. (2020) are made of."""

from __future__ import annotations

from torch import nn

MOST_GROUPS = 8


def group_normalisation(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, ECCV 2018) of eight groups, or of as many fewer as divide the channels."""
    return nn.GroupNorm(max(groups for groups in range(1, MOST_GROUPS + 1) if channels % groups == 0), channels)


class ConvolutionBlock(nn.Sequential):
    """A 3 x 3 x 3 convolution that keeps the size, group normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False),
            group_normalisation(out_channels),
            nn.ReLU(inplace=True),
        )
