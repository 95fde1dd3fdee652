"""A U-Net of dense blocks that predicts at every scale and adds the predictions up (self-ensemble).

After Zhao et al., "Bag of Tricks for 3D MRI Brain Tumor Segmentation" (BrainLes 2019), section 2.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from autobrats.networks.instance_normalisation import ConvolutionBlock
from autobrats.networks.output import NetworkOutput


class DenseBlock(nn.Module):
    """Layers that each see the block's input and the features of all layers before them (Huang et al., CVPR 2017).

    A last convolution of single voxels brings what was gathered to the wanted width. Each feature is normalised once,
    where it arises: normalising by instance, once more in every layer that reads it would only repeat that.

    Args:
        in_channels: feature maps of the input.
        growth_rate: feature maps that each layer adds.
        layers: how many.
        out_channels: feature maps of the result.
    """

    def __init__(self, in_channels: int, growth_rate: int, layers: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvolutionBlock(in_channels + index * growth_rate, growth_rate, (3, 3, 3)) for index in range(layers)
        )
        self.transition = ConvolutionBlock(in_channels + layers * growth_rate, out_channels, (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.transition(x)


class SelfEnsembleUNet(nn.Module):
    """The network of Zhao et al. (2019): y_s = Up(y_(s+1), 2) + y~_s from the coarsest scale S to s = 1 (equations 4, 5).

    y~_s is a linear map of the features of scale s: the decoder's, and at the coarsest scale the encoder's. Up is
    trilinear, as one needs to resize a prediction without parameters. Every sum is taken in float32. The result y_1 alone
    is returned: the coarser predictions learn through it.

    Fully convolutional: the same weights take patches of every size, from twice the ``divisor`` on.

    Args:
        in_channels: modalities.
        out_channels: regions, or labels with the background.
        base_channels: feature maps of the finest scale; each halving of the resolution doubles them.
        growth_rate: feature maps that a layer of a dense block adds at the finest scale; they grow as the widths do.
        layers_per_block: layers of every dense block.
        scales: S, the number of resolutions.
        max_channels: the most feature maps of a scale.

    Raises:
        ValueError: if there are fewer than two scales, or a number is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_channels: int = 32,
        growth_rate: int = 16,
        layers_per_block: int = 3,
        scales: int = 5,
        max_channels: int = 320,
    ) -> None:
        super().__init__()
        if scales < 2:
            raise ValueError(f"scales must be at least 2, got {scales}")
        numbers = {
            "base_channels": base_channels,
            "growth_rate": growth_rate,
            "layers_per_block": layers_per_block,
            "max_channels": max_channels,
        }
        for name, number in numbers.items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        side = 2 ** (scales - 1)
        self.divisor = (side, side, side)
        widths = [min(base_channels * 2**scale, max_channels) for scale in range(scales)]
        growths = [max(1, growth_rate * width // base_channels) for width in widths]

        self.stem = ConvolutionBlock(in_channels, widths[0], (3, 3, 3))
        self.halve = nn.MaxPool3d(2)
        self.encoder = nn.ModuleList(
            DenseBlock(widths[max(0, scale - 1)], growths[scale], layers_per_block, widths[scale])
            for scale in range(scales)
        )
        finer = range(scales - 2, -1, -1)
        self.ups = nn.ModuleList(nn.ConvTranspose3d(widths[scale + 1], widths[scale], 2, 2) for scale in finer)
        self.decoder = nn.ModuleList(
            DenseBlock(2 * widths[scale], growths[scale], layers_per_block, widths[scale]) for scale in finer
        )
        heads = [nn.Conv3d(width, out_channels, 1) for width in reversed(widths)]
        self.heads = nn.ModuleList(heads)
        """The linear maps to y~_S, ..., y~_1: coarsest first."""
        self.apply(_initialise)
        with torch.no_grad():
            for head in heads:
                head.weight /= math.sqrt(scales)  # so that their sum starts with the spread of one prediction

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``."""
        x = self.stem(x)
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(self.halve(x) if skips else x)
            skips.append(x)
        skips.pop()
        y = self.heads[0](x).float()
        for up, block, head in zip(self.ups, self.decoder, self.heads[1:], strict=True):
            x = block(torch.cat([up(x), skips.pop()], 1))
            y = functional.interpolate(y, scale_factor=2, mode="trilinear") + head(x)
        return NetworkOutput(y)


def _initialise(module: nn.Module) -> None:
    """He initialisation."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
