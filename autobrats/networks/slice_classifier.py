"""A branch that says of every slice which regions it shows.

After Nguyen et al., "Enhancing MRI Brain Tumor Segmentation with an Additional Classification Network" (BrainLes 2020),
section 2.3, tables 2 and 3. Segmentation looks at a neighbourhood; the branch looks at whole slices and at those before
and behind, and so tells small bright structures from enhancing tumour.
"""

from __future__ import annotations

from torch import Tensor, nn

from autobrats.networks.convolution_block import ConvolutionBlock, group_normalisation
from autobrats.networks.slice_axis import SliceAxis, in_plane_dimensions


class SliceClassifier(nn.Module):
    """The classification branch.

    A convolution block, the average over the plane of every slice, a transposed convolution if the features have half of
    the images' slices, bidirectional LSTM layers, each followed by dropout, and a convolution of kernel 1.

    The paper's transposed convolution is a 3 x 3 x 3 one on features that are one voxel wide within the plane, where
    only the middle of its kernel ever meets a voxel: the one-dimensional convolution here is the same map. Its tables
    give batch normalisation for the UNet++ and group normalisation for the BiFPN; its section 2 replaces the former by
    the latter for small batches, and so it is here.

    Args:
        in_channels: of the features.
        regions: what is told of every slice.
        features: of the convolution block and of each direction of the LSTM layers.
        lstm_layers: bidirectional layers.
        dropout: probability that a feature behind an LSTM layer is zeroed in training.
        doubles_slices: whether the features have half of the images' slices.
        slice_axis: which way slices are counted.

    Raises:
        ValueError: for a wrong option.
    """

    def __init__(
        self,
        in_channels: int,
        regions: int,
        features: int,
        lstm_layers: int,
        dropout: float,
        doubles_slices: bool = False,
        slice_axis: SliceAxis = "axial",
    ) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"the classification branch needs at least 1 feature, not {features}")
        if lstm_layers < 1:
            raise ValueError(f"lstm_layers must be at least 1, not {lstm_layers}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, not {dropout}")
        self.in_plane = in_plane_dimensions(slice_axis)
        self.convolution = ConvolutionBlock(in_channels, features)
        doubling: list[nn.Module] = []
        if doubles_slices:
            doubling = [
                nn.ConvTranspose1d(features, features, 3, stride=2, padding=1, output_padding=1, bias=False),
                group_normalisation(features),
                nn.ReLU(inplace=True),
            ]
        self.doubling = nn.Sequential(*doubling)
        self.lstm = nn.LSTM(
            features,
            features,
            lstm_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if lstm_layers > 1 else 0.0,  # between the layers; the one behind the last is its own
        )
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Conv1d(2 * features, regions, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, region, slices), of features of shape (batch, channel, z, y, x)."""
        slices = self.doubling(self.convolution(x).mean(self.in_plane))
        context, _ = self.lstm(slices.transpose(1, 2))
        return self.logits(self.dropout(context).transpose(1, 2))
