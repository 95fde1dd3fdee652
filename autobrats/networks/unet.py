"""The classic 3D U-Net, as Tweedy (2021) trained it with 16 filters.

After Tweedy, "Segmentation of brain tumor regions in MRI scans" (2021), slides "Model class", which say U-Net and n = 16 but
whose drawings are not described. What they leave open follows the README of the author's code
(github.com/e-tweedy/UNet_BraTS2020: four levels of the encoder and of the decoder around the lowest one, group
normalisation after each convolution) and Ronneberger et al., "U-Net" (MICCAI 2015).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from autobrats.networks.output import NetworkOutput

Normalisation = Literal["group", "instance"]

GROUPS = 4
"""Groups of every group normalisation."""


class DoubleConvolution(nn.Sequential):
    """Twice a convolution, normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, normalisation: Normalisation) -> None:
        groups = GROUPS if normalisation == "group" else out_channels
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                nn.Conv3d(channels, out_channels, 3, padding=1, bias=False),
                nn.GroupNorm(groups, out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """The network of Tweedy (2021).

    Every level has a double convolution on the way down and, but for the lowest, one on the way up. Max pooling halves the
    size, and the level below has twice the filters; a transposed convolution doubles the size and halves the filters, and
    its result is concatenated with that of the way down. The logits are a convolution of single voxels.

    Args:
        in_channels: modalities.
        out_channels: regions, or labels with the background.
        base_filters: filters of the finest level (n in the slides).
        levels: resolutions, the finest and the lowest included; five halve the size four times.
        normalisation: ``group`` in four groups of channels, as the author's code, or ``instance``. Neither depends on the
            other patches of a batch, which may be of one; with instance normalisation the lowest level must keep several
            voxels of a patch.

    Raises:
        ValueError: for fewer than two levels, filters that do not make up whole groups, or an unknown normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_filters: int = 16,
        levels: int = 5,
        normalisation: Normalisation = "group",
    ) -> None:
        super().__init__()
        if normalisation not in get_args(Normalisation):
            raise ValueError(f"normalisation must be one of {', '.join(get_args(Normalisation))}: '{normalisation}'")
        if levels < 2:
            raise ValueError(f"levels must be at least 2: {levels}")
        if base_filters < 1 or (normalisation == "group" and base_filters % GROUPS):
            raise ValueError(
                f"base_filters must be a multiple of the {GROUPS} groups of a normalisation: {base_filters}"
            )
        side = 2 ** (levels - 1)
        self.divisor = (side, side, side)
        filters = [base_filters * 2**level for level in range(levels)]
        self.encoder = nn.ModuleList(
            DoubleConvolution(i, o, normalisation) for i, o in zip([in_channels, *filters[:-1]], filters, strict=True)
        )
        self.pool = nn.MaxPool3d(2)
        finer = filters[-2::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose3d(2 * n, n, 2, stride=2) for n in finer)
        self.decoder = nn.ModuleList(DoubleConvolution(2 * n, n, normalisation) for n in finer)
        self.head = nn.Conv3d(base_filters, out_channels, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``."""
        *finer, lowest = self.encoder
        skips = []
        for level in finer:
            skips.append(level(x))
            x = self.pool(skips[-1])
        x = lowest(x)
        for up, level in zip(self.ups, self.decoder, strict=True):
            x = level(torch.cat([skips.pop(), up(x)], 1))
        return NetworkOutput(self.head(x))


def _initialise(module: nn.Module) -> None:
    """He initialisation."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
