"""A 3D fully convolutional network of dense blocks (Anand et al., 2020).

After Anand et al., "Brain Tumor Segmentation and Survival Prediction using Automatic Hard mining in 3D CNN Architecture"
(BraTS 2020), sect. 3.2. Its Figure 1 is described in words only: dense blocks, transitions down and up, concatenations,
growth rate 4, 77 layers. What the words leave open follows the network that they describe, FC-DenseNet (Jégou et al.,
"The One Hundred Layers Tiramisu", CVPRW 2017), in three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autobrats.networks.output import NetworkOutput


def _activation(channels: int, growth_rate: int) -> list[nn.Module]:
    """Normalisation over groups of ``growth_rate`` maps, which is what one layer adds, and ReLU.

    Unlike batch normalisation it does not depend on the other patches of a batch, which may be of one; unlike instance
    normalisation it has something to average where a small patch has shrunk to a few voxels, or to a single one.
    """
    return [nn.GroupNorm(channels // growth_rate, channels), nn.ReLU(inplace=True)]


class DenseBlock(nn.Module):
    """Layers of normalisation, ReLU and convolution, each of which sees the block's input and all maps before its own.

    Args:
        in_channels: maps of the block's input; a multiple of ``growth_rate``.
        growth_rate: maps that every layer adds.
        layers: how many.
        dropout: share of the new maps that are dropped whole.
    """

    def __init__(self, in_channels: int, growth_rate: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                *_activation(channels, growth_rate),
                nn.Conv3d(channels, growth_rate, 3, padding=1),
                nn.Dropout3d(dropout),
            )
            for channels in range(in_channels, in_channels + layers * growth_rate, growth_rate)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input, and then the new maps of every layer."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return maps


class TransitionDown(nn.Sequential):
    """Normalisation, ReLU, a convolution of single voxels that keeps the number of maps, max pooling to half the size."""

    def __init__(self, channels: int, growth_rate: int, dropout: float) -> None:
        super().__init__(
            *_activation(channels, growth_rate),
            nn.Conv3d(channels, channels, 1),
            nn.Dropout3d(dropout),
            nn.MaxPool3d(2),
        )


class TransitionUp(nn.ConvTranspose3d):
    """Transposed convolution, 3 x 3 x 3 with stride 2, to exactly twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1, output_padding=1)


class DenseFCN(nn.Module):
    """The network of Anand et al. (2020).

    A first convolution; on the way down, dense blocks that keep their input, each followed by a transition down; a dense
    block at the bottom; on the way up, transitions that enlarge only the maps that the block before them has added, a
    concatenation with the block of the same size on the way down, and a dense block; a last convolution of single voxels.

    Layers are counted as by Jégou et al. (2017, table 2): every convolution and every transposed convolution is one. The
    defaults are their FC-DenseNet103 without its coarsest level, 1 + 2 (4 + 5 + 7 + 10) + 15 + 4 + 4 + 1 = 77 layers,
    with the growth rate of the paper. Four halvings leave 4 x 4 x 4 voxels of the published 64 x 64 x 64, and 2 x 2 x 2
    of a patch with sides of 32.

    Args:
        in_channels: modalities.
        out_channels: regions, or labels with the background.
        growth_rate: maps that every layer of a dense block adds (k in the paper).
        first_channels: maps of the first convolution; a multiple of ``growth_rate``.
        layers: layers of every dense block on the way down, finest first; mirrored on the way up.
        bottleneck_layers: layers of the dense block at the bottom.
        dropout: share of the new maps that are dropped whole in training, in dense blocks and transitions down.

    Raises:
        ValueError: for a number out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        growth_rate: int = 4,
        first_channels: int = 16,
        layers: Sequence[int] = (4, 5, 7, 10),
        bottleneck_layers: int = 15,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if growth_rate < 1:
            raise ValueError(f"growth_rate must be at least 1: {growth_rate}")
        if first_channels < 1 or first_channels % growth_rate:
            raise ValueError(f"first_channels must be a multiple of the growth rate, {growth_rate}: {first_channels}")
        if not layers or min(*layers, bottleneck_layers) < 1:
            raise ValueError(f"every dense block needs at least one layer: {list(layers)}, {bottleneck_layers}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1: {dropout}")
        side = 2 ** len(layers)
        self.divisor = (side, side, side)
        self.n_layers = 1 + 2 * sum(layers) + bottleneck_layers + 2 * len(layers) + 1
        """Convolutions and transposed convolutions."""

        self.first = nn.Conv3d(in_channels, first_channels, 3, padding=1)
        self.down_blocks, self.transitions_down = nn.ModuleList(), nn.ModuleList()
        channels, skips = first_channels, []
        for count in layers:
            self.down_blocks.append(DenseBlock(channels, growth_rate, count, dropout))
            channels += count * growth_rate
            skips.append(channels)
            self.transitions_down.append(TransitionDown(channels, growth_rate, dropout))

        self.bottleneck = DenseBlock(channels, growth_rate, bottleneck_layers, dropout)
        new = bottleneck_layers * growth_rate
        self.transitions_up, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for count, skip in zip(reversed(layers), reversed(skips), strict=True):
            self.transitions_up.append(TransitionUp(new))
            self.up_blocks.append(DenseBlock(new + skip, growth_rate, count, dropout))
            channels, new = new + skip, count * growth_rate
        self.last = nn.Conv3d(channels + new, out_channels, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``."""
        x = self.first(x)
        skips = []
        for block, transition in zip(self.down_blocks, self.transitions_down, strict=True):
            skips.append(torch.cat(block(x), 1))
            x = transition(skips[-1])
        maps = self.bottleneck(x)
        for transition, block in zip(self.transitions_up, self.up_blocks, strict=True):
            x = transition(torch.cat(maps[1:], 1))
            maps = block(torch.cat([x, skips.pop()], 1))
        return NetworkOutput(self.last(torch.cat(maps, 1)))


def _initialise(module: nn.Module) -> None:
    """He initialisation, as Jégou et al. (2017)."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
