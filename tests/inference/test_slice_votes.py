"""The answers of a slice-classification branch over a whole volume."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autobrats.inference.sliding_window import predict_volume
from autobrats.networks.output import NetworkOutput


class SliceMeans(nn.Module):
    """Logits are the first channel; a slice's logit is its largest value there."""

    divisor = (1, 1, 1)

    def __init__(self, slice_axis: str | None = "axial") -> None:
        super().__init__()
        self.slice_axis = slice_axis

    def forward(self, x: Tensor) -> NetworkOutput:
        if self.slice_axis is None:
            return NetworkOutput(x[:, :1])
        in_plane = {"axial": (3, 4), "coronal": (2, 4), "sagittal": (2, 3)}[self.slice_axis]
        return NetworkOutput(x[:, :1], (), x[:, :1].amax(in_plane))


def predict(network: nn.Module, images: Tensor, **options):
    return predict_volume(network, images, patch_size=(4, 4, 4), to_probabilities=torch.sigmoid, overlap=0.0, **options)


@pytest.mark.parametrize(("axis", "dimension"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
@pytest.mark.parametrize("mirror_axes", [(), (0, 1, 2)])
def test_a_slice_has_what_any_of_its_windows_has(axis: str, dimension: int, mirror_axes: tuple) -> None:
    volume = torch.randn(1, 8, 12, 4, generator=torch.Generator().manual_seed(0))
    others = [d + 1 for d in range(3) if d != dimension]
    expected = torch.sigmoid(volume.amax(others))
    result = predict(SliceMeans(axis), volume, mirror_axes=mirror_axes)
    assert result.slices is not None and torch.allclose(result.slices, expected, atol=1e-6)


def test_padding_is_cut_off_and_slices_outside_the_brain_are_empty() -> None:
    volume = torch.zeros(1, 10, 3, 3)
    volume[:, 5:7] = 2.0
    result = predict(SliceMeans(), volume)
    assert result.slices is not None and result.slices.shape == (1, 10)
    assert result.slices[0, 5] == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())
    assert result.slices[0, 0] == 0, "the window of slice 0 sees no brain"
    empty = predict(SliceMeans(), volume * 0)
    assert empty.slices is not None and not empty.slices.any() and empty.slices.shape == (1, 10)


def test_networks_are_averaged_before_the_sigmoid() -> None:
    class Shifted(SliceMeans):
        def forward(self, x: Tensor) -> NetworkOutput:
            output = super().forward(x)
            assert output.slices is not None
            return NetworkOutput(output.logits, (), output.slices + 2)

    volume = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    result = predict([SliceMeans(), Shifted()], volume, weights=[3, 1])
    assert result.slices is not None
    assert torch.allclose(result.slices, torch.sigmoid(volume.amax((2, 3)) + 0.5), atol=1e-6)


def test_without_a_branch_there_are_none() -> None:
    assert predict(SliceMeans(None), torch.ones(1, 4, 4, 4)).slices is None
