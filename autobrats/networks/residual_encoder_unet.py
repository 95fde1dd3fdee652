"""A U-Net with a residual encoder and a light decoder (the default network).

After Isensee et al., "nnU-Net Revisited" (MICCAI 2024): residual blocks in the encoder (He et al., 2016), plain
convolutions in the decoder, instance normalisation, leaky ReLU, deep supervision at every decoder resolution but the
two coarsest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autobrats.networks.instance_normalisation import SLOPE, ConvolutionBlock, InstanceNormalisation, Triple, padding
from autobrats.networks.output import NetworkOutput


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; a strided shortcut averages, then projects (ResNet-D)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.first = ConvolutionBlock(in_channels, out_channels, kernel, stride)
        self.second = nn.Sequential(
            nn.Conv3d(out_channels, out_channels, kernel, 1, padding(kernel), bias=False),
            InstanceNormalisation(out_channels),
        )
        shortcut: list[nn.Module] = []
        if max(stride) > 1:
            shortcut.append(nn.AvgPool3d(stride, stride, ceil_mode=True))
        if in_channels != out_channels:
            shortcut += [nn.Conv3d(in_channels, out_channels, 1, bias=False), InstanceNormalisation(out_channels)]
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.second(self.first(x)) + self.shortcut(x))


class SubVoxelHead(nn.Module):
    """From features at half the resolution, and the images themselves, to logits at full resolution.

    Both ends are linear maps between a coarse voxel's channels and its fine voxels (sub-pixel convolution, Shi et al., 2016),
    so that all of the arithmetic is done at the coarse resolution: a convolution at the full one would take more than half
    of the time of a training step. Channels come in sixteens, with which a CPU's convolutions are fastest.
    """

    def __init__(self, features: int, in_channels: int, out_channels: int, stride: Triple) -> None:
        super().__init__()
        voxels = math.prod(stride)
        inward, outward = _sixteens(in_channels * voxels), _sixteens(out_channels * voxels)
        self.images = nn.Conv3d(in_channels, inward, stride, stride)
        self.mix = ConvolutionBlock(features + inward, outward, (3, 3, 3))
        self.logits = nn.ConvTranspose3d(outward, out_channels, stride, stride)

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        return self.logits(self.mix(torch.cat([x, self.images(images)], 1)))


def _sixteens(channels: int) -> int:
    return 16 * math.ceil(channels / 16)


class ResidualEncoderUNet(nn.Module):
    """The default network.

    Args:
        in_channels: modalities.
        out_channels: regions, or labels with the background.
        channels: feature maps of every stage, finest first.
        blocks: residual blocks of every stage; the first may have none, which leaves its resolution to the stem alone.
        strides: downsampling (z, y, x) on entering every stage. The first is the stem's: (1, 1, 1), or (2, 2, 2) for a
            network that works at half the resolution, several times cheaper, up to its sub-voxel head.
        decoder_convolutions: convolutions of every decoder stage.
        deep_supervision: whether training returns logits of the coarser decoder stages as well.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        strides: Sequence[Sequence[int]],
        decoder_convolutions: int = 1,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        if not len(channels) == len(blocks) == len(strides) >= 2:
            raise ValueError(
                f"channels, blocks and strides must have one entry a stage, at least two: {channels}, {blocks}, {strides}"
            )
        if min(blocks[1:]) < 1:
            raise ValueError(f"every stage after the first needs at least one block: {blocks}")
        steps: list[Triple] = [(int(s[0]), int(s[1]), int(s[2])) for s in strides]
        z, y, x = (math.prod(step[axis] for step in steps) for axis in range(3))
        self.divisor: Triple = (z, y, x)
        kernel = (3, 3, 3)
        self.stem = ConvolutionBlock(in_channels, channels[0], tuple(s + 2 for s in steps[0]), steps[0])  # type: ignore[arg-type]
        stages, width = [], channels[0]
        for stage, (out, count) in enumerate(zip(channels, blocks, strict=True)):
            stride = steps[stage] if stage else (1, 1, 1)
            layers: list[nn.Module] = []
            for _ in range(count):
                layers.append(ResidualBlock(width, out, kernel, stride))
                width, stride = out, (1, 1, 1)
            stages.append(nn.Sequential(*layers))
        self.encoder = nn.ModuleList(stages)

        ups: list[nn.Module] = []
        decoder: list[nn.Module] = []
        heads: list[nn.Module] = []
        for stage in range(len(channels) - 2, -1, -1):
            out = channels[stage]
            ups.append(nn.ConvTranspose3d(width, out, steps[stage + 1], steps[stage + 1]))
            layers = [ConvolutionBlock(2 * out, out, kernel)]
            layers += [ConvolutionBlock(out, out, kernel) for _ in range(decoder_convolutions - 1)]
            decoder.append(nn.Sequential(*layers))
            heads.append(nn.Conv3d(out, out_channels, 1))
            width = out
        if max(steps[0]) > 1:
            heads[-1] = SubVoxelHead(width, in_channels, out_channels, steps[0])
        self.ups, self.decoder = nn.ModuleList(ups), nn.ModuleList(decoder)
        self.n_deep = max(0, len(heads) - 2) if deep_supervision else 0
        """Coarser resolutions that training supervises."""
        self.heads = nn.ModuleList(heads[-(self.n_deep + 1) :])
        self.apply(_initialise)

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``."""
        images, x = x, self.stem(x)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        logits: list[Tensor] = []
        first_head = len(self.decoder) - len(self.heads)
        for index, (up, block) in enumerate(zip(self.ups, self.decoder, strict=True)):
            x = block(torch.cat([up(x), skips.pop()], 1))
            is_finest = index == len(self.decoder) - 1
            if is_finest or (self.training and index >= first_head):
                head = self.heads[index - first_head]
                logits.append(head(x, images) if isinstance(head, SubVoxelHead) else head(x))
        return NetworkOutput(logits[-1], tuple(logits[-2::-1]))


def _initialise(module: nn.Module) -> None:
    """He initialisation; the last normalisation of a residual branch starts at zero (Goyal et al., 2017)."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, ResidualBlock):
        last = module.second[1]
        assert isinstance(last, nn.GroupNorm)
        nn.init.zeros_(last.weight)
