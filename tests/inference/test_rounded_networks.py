"""Networks in 8 bits and in bfloat16 against the same network in float32."""

import numpy as np
import openvino
import pytest
import torch
from real_studies import prepared_study
from torch import Tensor, nn

from autobrats.inference.backends import Bfloat16Network, Int8Network, openvino_computes_bfloat16
from autobrats.inference.backends.openvino_network import _convert
from autobrats.inference.int8 import ActivationRanges, quantise_convolutions, weights_key
from autobrats.inference.sliding_window import predict_volume
from autobrats.networks.output import NetworkOutput


class Network(nn.Module):
    """Four convolutions; the first and the last have few channels on a side."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for channels, out in ((4, 16), (16, 32), (32, 16)):
            layers += [nn.Conv3d(channels, out, 3, padding=1), nn.GroupNorm(out, out), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(16, 3, 1))

    def forward(self, x: Tensor) -> NetworkOutput:
        return NetworkOutput(self.layers(x))

    def key(self, layer: int) -> str:
        return weights_key(self.layers[layer].weight.detach().numpy())


@pytest.fixture(scope="module")
def network() -> Network:
    return Network().eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(1, 4, 16, 16, 16, generator=torch.Generator().manual_seed(0))


def test_ranges_are_the_mean_ends_of_every_wide_convolutions_input(network, images):
    passes = [images, 2 * images + 1]
    with torch.inference_mode(), ActivationRanges(network) as seen:
        for some in passes:
            network(some)
        inputs = [network.layers[:3](some) for some in passes]
    with torch.inference_mode():
        network(100 * images)  # after the block nothing is recorded
    ranges = seen.mean()
    assert set(ranges) == {network.key(3), network.key(6)}
    low, high = ranges[network.key(3)]
    assert low == pytest.approx(np.mean([float(x.min()) for x in inputs]))
    assert high == pytest.approx(np.mean([float(x.max()) for x in inputs]))


def test_quantised_logits_are_close_and_not_equal(network, images):
    with torch.inference_mode(), ActivationRanges(network) as seen:
        expected = network(images).logits.numpy()
    model = _convert(network, images)
    assert quantise_convolutions(model, seen.mean()) == 2
    difference = np.abs(compute(model, images) - expected)
    # A step is 1/255 of an input's range; two rounded layers add up to a few hundredths of the spread of the logits.
    assert 0 < difference.std() < 0.03 * expected.std()


def test_convolutions_without_a_range_stay_as_they_are(network, images):
    model = _convert(network, images)
    before = compute(model, images)
    assert quantise_convolutions(model, {"0123456789abcdef": (0.0, 1.0)}) == 0
    np.testing.assert_array_equal(compute(model, images), before)


def test_a_network_in_8_bits_says_when_it_is_not(network, images, caplog):
    with torch.inference_mode(), ActivationRanges(network) as seen:
        expected = network(images).logits
    with torch.inference_mode():
        rounded = Int8Network(network, seen.mean())
        difference = (rounded(images) - expected).std()
        assert 0 < difference < 0.03 * expected.std() and not rounded.failed

        unknown = Int8Network(network, {**seen.mean(), "0123456789abcdef": (0.0, 1.0)})
        assert torch.equal(unknown(images), expected) and unknown.failed
        assert "2 of its 3 convolutions" in caplog.text

        absurd = Int8Network(network, dict.fromkeys(seen.mean(), (-1000000.0, 1000000.0)))
        assert torch.equal(absurd(images), expected) and absurd.failed
        assert "off by" in caplog.text


@pytest.mark.skipif(not openvino_computes_bfloat16(), reason="this processor has no instructions for bfloat16")
def test_logits_in_bfloat16_are_close_and_not_equal(network, images):
    with torch.inference_mode():
        rounded, expected = Bfloat16Network(network), network(images).logits
        difference = (rounded(images) - expected).std()
    # bfloat16 has 8 bits of mantissa: each of seven layers rounds by 0.2 % on average.
    assert 0 < difference < 0.02 * expected.std() and not rounded.failed


@pytest.mark.realdata
@pytest.mark.skipif(not openvino_computes_bfloat16(), reason="this processor has no instructions for bfloat16")
def test_probabilities_of_a_real_study_in_bfloat16(realdata, network):
    images = prepared_study(realdata)[:, :48, :64, :64]
    exact, rounded = (
        predict_volume(computing, images, patch_size=(32, 32, 32), to_probabilities=torch.sigmoid).probabilities
        for computing in (network, Bfloat16Network(network))
    )
    assert exact.std() > 0.01
    difference = (rounded - exact).abs()
    assert float(difference.max()) < 0.02 and 0 < float(difference.mean()) < 0.002


def compute(model: openvino.Model, images: Tensor) -> np.ndarray:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(images.numpy())[0]
