"""A bidirectional feature pyramid with a slice-classification branch.

After Nguyen et al., "Enhancing MRI Brain Tumor Segmentation with an Additional Classification Network" (BrainLes 2020),
section 2.1, figure 1, table 1: a residual encoder, the BiFPN layers of EfficientDet (Tan et al., CVPR 2020) and the
decoder of the panoptic feature pyramid (Kirillov et al., CVPR 2019).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autobrats.networks.convolution_block import ConvolutionBlock, group_normalisation
from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis, slice_dimension
from autobrats.networks.slice_classifier import SliceClassifier

FUSION_EPSILON = 1e-4


class EncoderBlock(nn.Module):
    """Two convolutions, the first of stride 2, beside a strided convolution (table 1); ReLU comes before the sum."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in ((in_channels, 2), (out_channels, 1)):
            layers += [
                nn.Conv3d(width, out_channels, 3, stride, padding=1, bias=False),
                group_normalisation(out_channels),
                nn.Dropout(dropout),
                nn.ReLU(inplace=True),
            ]
        self.residual = nn.Sequential(*layers)
        self.shortcut = nn.Conv3d(in_channels, out_channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class FastNormalisedFusion(nn.Module):
    """sum_i w_i x_i / (sum_i w_i + 1e-4) with learnt w_i, never negative (Tan et al., section 3.3)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(maps))

    def forward(self, *maps: Tensor) -> Tensor:
        """The weighted mean of maps of one shape."""
        weights = functional.relu(self.weights)
        shares = weights / (weights.sum() + FUSION_EPSILON)
        fused = shares[0] * maps[0]
        for share, features in zip(shares[1:], maps[1:], strict=True):
            fused = fused + share * features
        return fused


class FusionNode(nn.Module):
    """Fused maps, through a depthwise separable convolution, group normalisation and ReLU (Tan et al., section 3.3)."""

    def __init__(self, maps: int, features: int) -> None:
        super().__init__()
        self.fusion = FastNormalisedFusion(maps)
        self.convolution = nn.Sequential(
            nn.Conv3d(features, features, 3, padding=1, groups=features, bias=False),
            nn.Conv3d(features, features, 1, bias=False),
            group_normalisation(features),
            nn.ReLU(inplace=True),
        )

    def forward(self, *maps: Tensor) -> Tensor:
        return self.convolution(self.fusion(*maps))


class BiFPNLayer(nn.Module):
    """From the coarsest map down to the finest, and back up (Tan et al., figure 2d and section 3.3).

    On the way back a level between the ends also gets its own input once more. Maps come to the next finer level by
    nearest neighbour and to the next coarser one by max pooling, as in the authors' code.
    """

    def __init__(self, levels: int, features: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(FusionNode(2, features) for _ in range(levels - 1))
        self.back = nn.ModuleList(FusionNode(3 if level < levels - 1 else 2, features) for level in range(1, levels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """New maps of the given ones' shapes, finest first; each level has half the side of the one before."""
        middle = [maps[-1]]
        for node, given in zip(self.down, reversed(maps[:-1]), strict=True):
            middle.append(node(given, functional.interpolate(middle[-1], scale_factor=2.0, mode="nearest")))
        middle.reverse()
        result = middle[:1]
        for level, node in enumerate(self.back, start=1):
            finer = functional.max_pool3d(result[-1], kernel_size=3, stride=2, padding=1)
            is_coarsest = level == len(self.back)
            result.append(node(maps[level], finer) if is_coarsest else node(maps[level], middle[level], finer))
        return result


class UpsampleBlock(nn.Sequential):
    """Convolution block, then twice the size (trilinear)."""

    def __init__(self, features: int) -> None:
        super().__init__(ConvolutionBlock(features, features), nn.Upsample(scale_factor=2.0, mode="trilinear"))


class BiFPNSegmenter(nn.Module):
    """The BiFPN of Nguyen et al. (2020).

    Every map of the pyramid is brought to half the images' resolution by as many up-sample blocks as that takes, none for
    the finest. Their concatenation gives the logits, by a convolution of kernel 1 and trilinear interpolation, and is
    what the classification branch sees.

    Args:
        in_channels: modalities.
        out_channels: regions.
        encoder_channels: feature maps of every encoder block, finest first; each block halves the resolution.
        features: feature maps of every level of the pyramid and of the decoder.
        bifpn_layers: how often the pyramid is passed down and back.
        classifier_features: of the classification branch, half of what it is given in the paper: 512 of 4 x 256.
        lstm_layers: of the classification branch.
        dropout: in the encoder and behind the LSTM layers; the paper has it in both places and gives no rate.
        classification: whether there is a branch.
        slice_axis: which way the branch counts slices.

    Attributes:
        divisor: the sides (z, y, x) of the images must be its multiples.

    Raises:
        ValueError: for a wrong option.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        encoder_channels: Sequence[int] = (16, 32, 64, 128),
        features: int = 256,
        bifpn_layers: int = 3,
        classifier_features: int = 512,
        lstm_layers: int = 2,
        dropout: float = 0.1,
        classification: bool = True,
        slice_axis: SliceAxis = "axial",
    ) -> None:
        super().__init__()
        levels = len(encoder_channels)
        if levels < 2:
            raise ValueError(f"encoder_channels must name at least two blocks, not {list(encoder_channels)}")
        if min(*encoder_channels, features) < 1:
            raise ValueError(
                f"encoder_channels and features must be at least 1, not {list(encoder_channels)} and {features}"
            )
        if bifpn_layers < 1:
            raise ValueError(f"bifpn_layers must be at least 1, not {bifpn_layers}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, not {dropout}")
        slice_dimension(slice_axis)  # refuses a wrong name without a branch as well
        self.divisor = (2**levels, 2**levels, 2**levels)
        self.slice_axis: SliceAxis | None = slice_axis if classification else None
        widths = [in_channels, *encoder_channels]
        self.encoder = nn.ModuleList(EncoderBlock(width, out, dropout) for width, out in itertools.pairwise(widths))
        self.laterals = nn.ModuleList(nn.Conv3d(width, features, 1) for width in encoder_channels)
        self.pyramid = nn.Sequential(*(BiFPNLayer(levels, features) for _ in range(bifpn_layers)))
        self.decoder = nn.ModuleList(
            nn.Sequential(*(UpsampleBlock(features) for _ in range(level))) for level in range(levels)
        )
        self.logits = nn.Sequential(
            nn.Conv3d(levels * features, out_channels, 1), nn.Upsample(scale_factor=2.0, mode="trilinear")
        )
        self.classifier: SliceClassifier | None = None
        if classification:
            self.classifier = SliceClassifier(
                levels * features,
                out_channels,
                classifier_features,
                lstm_layers,
                dropout,
                doubles_slices=True,
                slice_axis=slice_axis,
            )

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``.

        ``slices`` has one entry for every slice of the images along ``slice_axis``; None without a branch.
        """
        maps = []
        for block, lateral in zip(self.encoder, self.laterals, strict=True):
            x = block(x)
            maps.append(lateral(x))
        maps = self.pyramid(maps)
        features = torch.cat([up(level) for up, level in zip(self.decoder, maps, strict=True)], 1)
        return NetworkOutput(self.logits(features), (), None if self.classifier is None else self.classifier(features))
