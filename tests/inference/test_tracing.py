"""Normalisation as other libraries are given it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autobrats.inference.backends import tracing
from autobrats.inference.backends.openvino_network import OpenVinoNetwork
from autobrats.networks.output import NetworkOutput


class Normalised(nn.Module):
    """A convolution and its normalisation."""

    divisor = (1, 1, 1)

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(1, norm.num_channels, 3, padding=1), norm)

    def forward(self, x: torch.Tensor) -> NetworkOutput:
        return NetworkOutput(self.layers(x))


@pytest.mark.parametrize("large", [0, tracing.LARGE], ids=["means of means", "its own"])
@pytest.mark.parametrize("groups, affine", [(8, True), (8, False), (2, True), (2, False)])
def test_rewritten_normalisation_is_torch_s(large, groups, affine, monkeypatch):
    monkeypatch.setattr(tracing, "LARGE", large)
    torch.manual_seed(0)
    norm = nn.GroupNorm(groups, 8, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    for shape in [(2, 8, 8, 8, 8), (1, 8, 6, 5, 4), (3, 8, 1, 12, 7)]:
        x = 3 * torch.randn(shape) + 1
        torch.testing.assert_close(tracing.InstanceNorm(norm)(x), norm(x), atol=1e-5, rtol=1e-5)


def test_large_patches_are_normalised_exactly_by_openvino():
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    network = Normalised(nn.GroupNorm(16, 16)).eval()
    with torch.inference_mode():
        images = torch.randn(1, 1, 96, 96, 96)
        exact = network.double()(images.double()).logits
        converted = OpenVinoNetwork(network.float())
        found = converted(images)
    assert not converted.failures
    assert float((found - exact).abs().max()) < 3e-5, "with its own normalisation it is 4e-4"
