"""What every network keeps: samples do not meet, half precision is close, and the OpenVINO of a CPU gives the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autobrats import registry
from autobrats.inference.backends import OpenVinoNetwork, openvino_is_installed
from autobrats.networks.building import build_network

HALVED = [[2, 2, 2], [2, 2, 2], [2, 2, 2]]
SMALL: dict[str, list[dict[str, Any]]] = {
    "residual_encoder_unet": [
        {"channels": [4, 8, 8], "blocks": [1, 1, 1], "strides": [[1, 1, 1], *HALVED[1:]]},
        {"channels": [4, 8, 8], "blocks": [1, 1, 1], "strides": HALVED},
    ],
    "plain_unet": [{"channels": [4, 8, 8], "strides": [[1, 1, 1], *HALVED[1:]]}],
    "dense_fcn": [{"first_channels": 8, "layers": [1, 2], "bottleneck_layers": 2}],
    "unet": [{"base_filters": 4, "levels": 3}, {"base_filters": 4, "levels": 3, "normalisation": "instance"}],
    "bifpn": [
        {"encoder_channels": [4, 8], "features": 8, "bifpn_layers": 2, "classifier_features": 8},
        {"encoder_channels": [4, 8], "features": 8, "bifpn_layers": 1, "classification": False},
    ],
    "unet_plus_plus": [{"channels": [4, 8, 8], "classifier_features": 8, "lstm_layers": 1}],
    "self_ensemble_unet": [{"base_channels": 4, "growth_rate": 4, "layers_per_block": 1, "scales": 3}],
}
EVERY = [pytest.param(name, options, id=f"{name}-{i}") for name, of in SMALL.items() for i, options in enumerate(of)]


def network(name: str, options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, options, 4, 3).eval()


def answers(module: nn.Module, images: Tensor) -> list[Tensor]:
    """The logits, and those of the slices where there is a branch."""
    with torch.no_grad():
        output = module(images)
    return [output.logits, *([] if output.slices is None else [output.slices])]


def images(count: int) -> Tensor:
    return torch.randn(count, 4, 16, 16, 24, generator=torch.Generator().manual_seed(1))


def test_none_is_left_out() -> None:
    assert set(SMALL) == set(registry._OUR_PARTS["network"])


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_each_sample_is_by_itself(name: str, options: dict[str, Any]) -> None:
    module = network(name, options)
    for alone, together in zip(answers(module, images(2)[1:]), answers(module, images(2)), strict=True):
        torch.testing.assert_close(alone[0], together[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_bfloat16_is_close(name: str, options: dict[str, Any]) -> None:
    module = network(name, options)
    exact = answers(module, images(1))
    with torch.autocast("cpu", torch.bfloat16):
        coarse = answers(module, images(1))
    for given, right in zip(coarse, exact, strict=True):
        assert right.dtype == torch.float32 and torch.isfinite(given).all()
        assert (torch.sigmoid(given.float()) - torch.sigmoid(right)).abs().mean() < 0.02


@pytest.mark.skipif(not openvino_is_installed(), reason="OpenVINO is not installed")
@pytest.mark.parametrize(("name", "options"), EVERY)
def test_openvino_gives_the_same(name: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    module = network(name, options)
    exact = answers(module, images(1))[0]
    backend = OpenVinoNetwork(module)
    with torch.inference_mode():
        backend(images(1))
        fast = backend(images(1))
    assert not caplog.records, "torch went on in OpenVINO's place"
    torch.testing.assert_close(fast, exact, rtol=5e-3, atol=5e-3)
