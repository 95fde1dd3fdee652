"""Convolutions as three products of bfloat16: the same numbers as float32 nearly, and nothing else in fewer digits."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from real_studies import prepared_study
from torch import Tensor, nn

from autobrats import registry
from autobrats.devices import computes_bfloat16
from autobrats.inference.backends import ChosenNetwork, KeptModels, Probes, cpu_backends, with_backend
from autobrats.inference.backends.arrangements import Arrangement
from autobrats.inference.backends.openvino_network import _convert
from autobrats.inference.backends.rounded_network import Bfloat16Network
from autobrats.inference.backends.split_convolutions import (
    SPLIT,
    _from_bfloat16,
    _rounded,
    has_wide_convolutions,
    split_convolutions,
)
from autobrats.inference.backends.split_network import SplitNetwork
from autobrats.inference.sliding_window import predict_volume
from autobrats.networks.building import build_network
from autobrats.networks.output import NetworkOutput

openvino = pytest.importorskip("openvino")
CPU = torch.device("cpu")
needs_amx = pytest.mark.skipif(not computes_bfloat16(CPU), reason="this processor has no AMX")
WIDE: dict[str, dict[str, Any]] = {
    "residual_encoder_unet": {"channels": [32, 48], "blocks": [1, 2], "strides": [[1, 1, 1], [2, 2, 2]]},
    "plain_unet": {"channels": [32, 48], "strides": [[1, 1, 1], [2, 2, 2]]},
    "dense_fcn": {"growth_rate": 16, "first_channels": 32, "layers": [2], "bottleneck_layers": 2},
    "unet": {"base_filters": 32, "levels": 2},
    "bifpn": {"encoder_channels": [16, 32], "features": 32, "bifpn_layers": 2, "classification": False},
    "unet_plus_plus": {"channels": [32, 32, 48], "classification": False},
    "self_ensemble_unet": {"base_channels": 32, "growth_rate": 16, "layers_per_block": 2, "scales": 2},
}


class Network(nn.Module):
    """Of its convolutions three have channels enough, one of which sees two maps put together."""

    divisor = (1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv3d(4, 32, 3, padding=1)
        self.norm = nn.GroupNorm(8, 32)
        self.second = nn.Conv3d(32, 32, 3, padding=1)
        self.third = nn.Conv3d(64, 16, 3, padding=1, stride=(1, 2, 2))
        self.flat = nn.Conv3d(64, 16, (1, 3, 3), padding=(0, 1, 1), stride=(1, 2, 2))
        self.last = nn.Conv3d(32, 3, 1)

    def forward(self, x: Tensor) -> NetworkOutput:
        x = nn.functional.leaky_relu(self.norm(self.first(x)), 0.01)
        both = torch.cat([self.second(x), x], 1)
        return NetworkOutput(self.last(torch.cat([self.third(both), self.flat(both)], 1)))


@pytest.fixture(scope="module")
def network() -> Network:
    return Network().eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(1, 4, 16, 16, 24, generator=torch.Generator().manual_seed(0))


def compiled_layers(split: SplitNetwork) -> list[dict[str, str]]:
    """What OpenVINO made of the layers."""
    (compiled,) = split._compiled.values()
    return [
        {name: value.astype(str) for name, value in node.get_rt_info().items()}
        for node in compiled._compiled.get_runtime_model().get_ordered_ops()
    ]


def test_halves_of_weights_are_bfloat16_s_and_keep_16_bits():
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    high, low = (torch.from_numpy(_from_bfloat16(bits)) for bits in _rounded(values.numpy()))
    assert torch.equal(high, values.bfloat16().float()) and torch.equal(low, (values - high).bfloat16().float())
    assert float(((high + low - values) / values).abs().max()) < 2**-16


def test_every_convolution_of_enough_channels_becomes_three_for_each_part_of_its_input(network, images):
    model = _convert(network, images)
    assert split_convolutions(model) == 3
    products = [node for node in model.get_ordered_ops() if node.get_friendly_name().startswith(SPLIT)]
    # The second sees one map, the third and the flat one two each.
    assert len(products) == 3 * (1 + 2 + 2)
    assert {tuple(node.input_value(1).get_shape()[:2]) for node in products} == {(32, 32), (16, 32)}


@needs_amx
def test_logits_are_nearly_those_of_float32(network, images):
    with torch.inference_mode():
        expected = network(images).logits
        split, rounded = (
            (computing(images) - expected).std() for computing in (SplitNetwork(network), Bfloat16Network(network))
        )
    assert 0 < split < 3e-5 * expected.std() and rounded > 50 * split


@needs_amx
@pytest.mark.parametrize("name", WIDE)
def test_only_the_convolutions_are_in_bfloat16(name, images):
    torch.manual_seed(0)
    network = build_network(name, WIDE[name], 4, 3).eval()
    assert has_wide_convolutions(network)
    split = SplitNetwork(network)
    with torch.inference_mode():
        found, expected = split(images), network(images).logits
    assert not split.failures
    assert float((found - expected).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))
    layers = compiled_layers(split)
    between = ("Reorder", "Subgraph")  # where numbers are rounded on purpose
    lowered = [layer for layer in layers if "bf16" in layer["primitiveType"] and layer["layerType"] not in between]
    assert lowered and all(layer["originalLayersNames"].startswith(SPLIT) for layer in lowered)
    assert {layer["outputPrecisions"] for layer in lowered} == {"f32"}


def test_no_network_is_left_out():
    assert set(WIDE) == set(registry._OUR_PARTS["network"])


def test_it_is_kept_in_as_much_room_as_float32(network, images, tmp_path):
    for _ in range(2):
        split = SplitNetwork(network, KeptModels(tmp_path, "a"))
        with torch.inference_mode():
            found = split(images)
    with torch.inference_mode():
        assert torch.equal(found, SplitNetwork(network)(images)), "without a folder"
    sizes = {file.name.partition("-")[0]: file.stat().st_size for file in tmp_path.glob("*.bin")}
    assert set(sizes) == {"bf16x3", "openvino"} and sizes["bf16x3"] < 1.1 * sizes["openvino"]


def test_too_large_a_difference_costs_the_way_and_not_the_prediction(network, images, monkeypatch, caplog):
    monkeypatch.setattr(SplitNetwork, "tolerance", 0.0)
    probes = Probes(["torch", "bf16x3"])
    computing = ChosenNetwork(network, probes)
    with torch.inference_mode(), caplog.at_level(logging.INFO):
        assert all(torch.equal(computing(images), network(images).logits) for _ in range(3))
    assert "differ from torch's" in caplog.text and "float32 is multiplied as such" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_is_tried_where_a_processor_and_a_network_gain(network, images, monkeypatch):
    for has_units in (False, True):
        monkeypatch.setattr("autobrats.inference.backends.choice.computes_bfloat16", lambda _, answer=has_units: answer)
        assert ("bf16x3" in cpu_backends("auto")) is has_units
    assert cpu_backends("openvino") == ["openvino"]
    shape = tuple(images.shape[1:])
    narrow = build_network("plain_unet", {"channels": [8, 16], "strides": [[1, 1, 1], [2, 2, 2]]}, 4, 3)
    for module, tried in ((network, True), (narrow, False)):
        candidates = Probes(["torch", "bf16x3", "openvino"]).of(shape, module).candidates
        assert any(candidate.backend == "bf16x3" for candidate in candidates) is tried
    assert isinstance(with_backend(network, "auto", CPU), ChosenNetwork)


@needs_amx
@pytest.mark.parametrize(("streams", "batch"), [(1, 2), (2, 1)])
def test_batches_and_streams_change_nothing(network, images, streams, batch):
    split, both = SplitNetwork(network), torch.cat([images, images.flip(2)])
    with torch.inference_mode():
        found = split.run(both, Arrangement(backend="bf16x3", streams=streams, batch=batch))
        assert not split.failures and torch.allclose(found, network(both).logits, atol=1e-4)


@pytest.mark.realdata
@needs_amx
def test_probabilities_of_a_real_study(realdata):
    images = prepared_study(realdata)[:, :48, :64, :64]
    torch.manual_seed(0)
    unet = build_network(
        "plain_unet", {"channels": [32, 64, 96], "strides": [[1, 1, 1], *[[2, 2, 2]] * 2]}, 4, 3
    ).eval()
    exact, split = (
        predict_volume(computing, images, patch_size=(32, 32, 32), to_probabilities=torch.sigmoid).probabilities
        for computing in (unet, SplitNetwork(unet))
    )
    assert exact.std() > 0.01
    assert 0 < float((split - exact).abs().max()) < 1e-4
