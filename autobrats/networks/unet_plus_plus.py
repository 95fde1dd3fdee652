"""A nested U-Net with a slice-classification branch.

After Nguyen et al., "Enhancing MRI Brain Tumor Segmentation with an Additional Classification Network" (BrainLes 2020),
section 2.2, figure 3, and the network they start from: UNet++ (Zhou et al., DLMIA 2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autobrats.networks.convolution_block import group_normalisation
from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis, slice_dimension
from autobrats.networks.slice_classifier import SliceClassifier


class NestedBlock(nn.Sequential):
    """ReLU, then two convolutions, each with group normalisation (section 2.2).

    What comes from images has no ReLU before it, which would take away every intensity below the brain's mean.
    """

    def __init__(self, in_channels: int, out_channels: int, sees_images: bool = False) -> None:
        super().__init__(
            nn.Identity() if sees_images else nn.ReLU(),
            nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False),
            group_normalisation(out_channels),
            nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False),
            group_normalisation(out_channels),
        )


class SkipPathway(nn.ModuleList):
    """The nodes (i, 1) to (i, n) of one resolution (Zhou et al., equation 1).

    Node (i, j) sees all nodes (i, 0) to (i, j - 1) and, enlarged (trilinear), node (i + 1, j - 1).
    """

    def __init__(self, nodes: int, channels: int, coarser_channels: int) -> None:
        super().__init__(NestedBlock(j * channels + coarser_channels, channels) for j in range(1, nodes + 1))

    def forward(self, encoded: Tensor, coarser: Sequence[Tensor]) -> list[Tensor]:
        """All nodes of the resolution, from the encoder's, (i, 0), on; ``coarser`` are the nodes (i + 1, 0) and on."""
        row = [encoded]
        for node, below in zip(self, coarser, strict=True):
            enlarged = functional.interpolate(below, scale_factor=2.0, mode="trilinear")
            row.append(node(torch.cat([*row, enlarged], 1)))
        return row


class UNetPlusPlus(nn.Module):
    """The UNet++ of Nguyen et al. (2020).

    Every resolution has a pathway of nodes (i, j), one fewer than the resolution above it. The nodes (0, 1), (0, 2), ...
    have the images' resolution: each has a head, the logits are the mean over the heads (deep supervision by averaging),
    and the classification branch sees these nodes side by side.

    Args:
        in_channels: modalities.
        out_channels: regions.
        channels: feature maps of every resolution, finest first; by default those of the code that the paper builds on,
            whose four finest nodes together have the 128 channels of table 3.
        classifier_features: of the classification branch.
        lstm_layers: of the classification branch.
        dropout: behind the LSTM layers; the paper gives no rate.
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
        channels: Sequence[int] = (32, 64, 128, 256, 512),
        classifier_features: int = 256,
        lstm_layers: int = 3,
        dropout: float = 0.1,
        classification: bool = True,
        slice_axis: SliceAxis = "axial",
    ) -> None:
        super().__init__()
        depth = len(channels) - 1
        if depth < 1:
            raise ValueError(f"channels must name at least two resolutions, not {list(channels)}")
        if min(channels) < 1:
            raise ValueError(f"channels must be at least 1, not {list(channels)}")
        slice_dimension(slice_axis)  # refuses a wrong name without a branch as well
        self.divisor = (2**depth, 2**depth, 2**depth)
        self.slice_axis: SliceAxis | None = slice_axis if classification else None
        widths = [in_channels, *channels]
        self.encoder = nn.ModuleList(
            NestedBlock(width, out, sees_images=level == 0)
            for level, (width, out) in enumerate(itertools.pairwise(widths))
        )
        self.pathways = nn.ModuleList(
            SkipPathway(depth - level, channels[level], channels[level + 1]) for level in range(depth)
        )
        self.heads = nn.ModuleList(nn.Conv3d(channels[0], out_channels, 1) for _ in range(depth))
        self.classifier: SliceClassifier | None = None
        if classification:
            self.classifier = SliceClassifier(
                depth * channels[0], out_channels, classifier_features, lstm_layers, dropout, slice_axis=slice_axis
            )

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits of images of shape (batch, modality, z, y, x); each side a multiple of ``divisor``.

        ``slices`` has one entry for every slice of the images along ``slice_axis``; None without a branch.
        """
        encoded: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(functional.max_pool3d(x, 2) if level else x)
            encoded.append(x)
        row = [encoded.pop()]
        for pathway in reversed(self.pathways):
            row = pathway(encoded.pop(), row)
        finest = row[1:]
        logits = torch.stack([head(node) for head, node in zip(self.heads, finest, strict=True)]).mean(0)
        slices = None if self.classifier is None else self.classifier(torch.cat(finest, 1))
        return NetworkOutput(logits, (), slices)
