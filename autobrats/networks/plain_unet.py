"""nnU-Net's default network: a U-Net of plain convolutions.

After Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation" (Nature
Methods, 2021): every stage has two convolutions with instance normalisation and leaky ReLU; the first convolution of a stage
halves the size, a transposed convolution doubles it, and every decoder resolution but the coarsest is supervised.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from autobrats.networks.instance_normalisation import SLOPE, ConvolutionBlock, Triple
from autobrats.networks.output import NetworkOutput


class PlainUNet(nn.Module):
    """The network of nnU-Net's plans (``PlainConvUNet``); :func:`from_nnunet` takes its weights.

    The head of the coarsest decoder stage, which nnU-Net builds but gives no weight in the loss, is left out.

    Args:
        in_channels: modalities.
        out_channels: regions, or labels with the background.
        channels: feature maps of every stage, finest first (``features_per_stage``).
        strides: downsampling (z, y, x) on entering every stage.
        kernels: sides (z, y, x) of the convolutions of every stage, odd (``kernel_sizes``); 3 x 3 x 3 if None.
        convolutions: of every encoder stage (``n_conv_per_stage``); two if None.
        decoder_convolutions: of every decoder stage, coarsest first (``n_conv_per_stage_decoder``); two if None.
        deep_supervision: whether training returns logits of the coarser decoder stages as well.

    Raises:
        ValueError: if the lists do not have one entry a stage.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]] | None = None,
        convolutions: Sequence[int] | None = None,
        decoder_convolutions: Sequence[int] | None = None,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        count = len(channels)
        kernels = [(3, 3, 3)] * count if kernels is None else kernels
        convolutions = [2] * count if convolutions is None else convolutions
        decoder_convolutions = [2] * (count - 1) if decoder_convolutions is None else decoder_convolutions
        if not (count == len(strides) == len(kernels) == len(convolutions) == len(decoder_convolutions) + 1 >= 2):
            raise ValueError(
                "channels, strides, kernels and convolutions must have one entry a stage, at least two, and "
                f"decoder_convolutions one fewer: {count}, {len(strides)}, {len(kernels)}, {len(convolutions)} and "
                f"{len(decoder_convolutions)} entries"
            )
        steps, sides = [_triple(step) for step in strides], [_triple(kernel) for kernel in kernels]
        self.divisor: Triple = _triple(math.prod(step[axis] for step in steps) for axis in range(3))
        widths = [in_channels, *channels]
        self.encoder = nn.ModuleList(
            _stage(widths[stage], channels[stage], sides[stage], convolutions[stage], steps[stage])
            for stage in range(count)
        )
        upwards = list(range(count - 2, -1, -1))
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(channels[stage + 1], channels[stage], steps[stage + 1], steps[stage + 1])
            for stage in upwards
        )
        self.decoder = nn.ModuleList(
            _stage(2 * channels[stage], channels[stage], sides[stage], number, (1, 1, 1))
            for stage, number in zip(upwards, decoder_convolutions, strict=True)
        )
        self.n_deep = max(0, len(upwards) - 2) if deep_supervision else 0
        """Coarser resolutions that training supervises."""
        self.heads = nn.ModuleList(nn.Conv3d(channels[stage], out_channels, 1) for stage in range(self.n_deep, -1, -1))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``."""
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        logits: list[Tensor] = []
        first_head = len(self.decoder) - len(self.heads)
        for index, (up, stage) in enumerate(zip(self.ups, self.decoder, strict=True)):
            x = stage(torch.cat([up(x), skips.pop()], 1))
            if index == len(self.decoder) - 1 or (self.training and index >= first_head):
                logits.append(self.heads[index - first_head](x))
        return NetworkOutput(logits[-1], tuple(logits[-2::-1]))


def from_nnunet(weights: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The state dict of a :class:`PlainUNet` from that of nnU-Net's ``PlainConvUNet`` of the same sizes.

    Args:
        weights: ``network_weights`` of a checkpoint, read with ``torch.load(file, weights_only=True)``, or a safetensors
            file.
        heads: that our network has, ``len(network.heads)``; the heads of coarser stages are left out.

    Example:
        >>> network.load_state_dict(from_nnunet(checkpoint["network_weights"], len(network.heads)))
    """
    names = [name.removeprefix("_orig_mod.").removeprefix("module.") for name in weights]
    left_out = sum(re.fullmatch(r"decoder\.transpconvs\.\d+\.weight", name) is not None for name in names) - heads
    ours = {}
    for name, tensor in zip(names, weights.values(), strict=True):
        if match := re.fullmatch(r"(encoder|decoder)\.stages\.(\d+)\.(?:0\.)?convs\.(\d+)\.(conv|norm)\.(\w+)", name):
            side, stage, index, part, kind = match.groups()
            ours[f"{side}.{stage}.{index}.{('conv', 'norm').index(part)}.{kind}"] = tensor
        elif match := re.fullmatch(r"decoder\.transpconvs\.(\d+)\.(\w+)", name):
            ours[f"ups.{match[1]}.{match[2]}"] = tensor
        elif (match := re.fullmatch(r"decoder\.seg_layers\.(\d+)\.(\w+)", name)) and int(match[1]) >= left_out:
            ours[f"heads.{int(match[1]) - left_out}.{match[2]}"] = tensor
    return ours


def _stage(in_channels: int, out_channels: int, kernel: Triple, convolutions: int, stride: Triple) -> nn.Sequential:
    """Convolutions, the first of them strided."""
    blocks = [ConvolutionBlock(in_channels, out_channels, kernel, stride, bias=True)]
    blocks += [ConvolutionBlock(out_channels, out_channels, kernel, bias=True) for _ in range(convolutions - 1)]
    return nn.Sequential(*blocks)


def _triple(sides: Iterable[int]) -> Triple:
    z, y, x = (int(side) for side in sides)
    return (z, y, x)


def _initialise(module: nn.Module) -> None:
    """He initialisation."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
