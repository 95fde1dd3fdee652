"""The self-ensemble U-Net: the recursion over the scales against NumPy, shapes, gradients, reduced precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autobrats.networks.self_ensemble_unet import DenseBlock, SelfEnsembleUNet

SMALL = {"base_channels": 4, "growth_rate": 3, "layers_per_block": 2, "scales": 3}


def network(in_channels: int = 4, out_channels: int = 3, **options) -> SelfEnsembleUNet:
    torch.manual_seed(0)
    return SelfEnsembleUNet(in_channels, out_channels, **{**SMALL, **options})


def doubled(y: np.ndarray) -> np.ndarray:
    """Trilinear enlargement by two of the last three axes: 3/4 of the voxel itself and 1/4 of the nearer neighbour."""
    for axis in (-3, -2, -1):
        y = np.moveaxis(y, axis, -1)
        before, after = np.concatenate([y[..., :1], y[..., :-1]], -1), np.concatenate([y[..., 1:], y[..., -1:]], -1)
        y = np.stack([0.75 * y + 0.25 * before, 0.75 * y + 0.25 * after], -1).reshape(*y.shape[:-1], -1)
        y = np.moveaxis(y, -1, axis)
    return y


@pytest.mark.parametrize("scales", [2, 3, 4])
def test_the_predictions_of_the_scales_are_added_up(scales: int) -> None:
    unet = network(scales=scales).eval()
    predictions: list[np.ndarray] = []
    for head in unet.heads:
        head.register_forward_hook(lambda module, given, result: predictions.append(result.double().numpy()))
    with torch.no_grad():
        logits = unet(torch.randn(2, 4, *(2 * side * (axis + 1) for axis, side in enumerate(unet.divisor)))).logits
    assert len(predictions) == scales
    y = predictions[0]
    for prediction in predictions[1:]:
        assert prediction.shape[2:] == tuple(2 * side for side in y.shape[2:])
        y = doubled(y) + prediction
    np.testing.assert_allclose(logits.numpy(), y, atol=1e-5)


@pytest.mark.parametrize("scale", range(3))
def test_every_scale_shapes_the_result_and_learns(scale: int) -> None:
    unet = network()
    images = torch.randn(1, 4, 8, 8, 8)
    before = unet(images).logits
    head = unet.heads[scale]
    assert isinstance(head, nn.Conv3d) and head.bias is not None
    before.square().mean().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    with torch.no_grad():
        head.bias += torch.tensor([1.0, -2.0, 3.0])
        difference = unet(images).logits - before
    torch.testing.assert_close(difference.mean((0, 2, 3, 4)), torch.tensor([1.0, -2.0, 3.0]))


@pytest.mark.parametrize("scales", [2, 4])
@pytest.mark.parametrize("modalities", [1, 4])
def test_the_same_weights_take_every_size(scales: int, modalities: int) -> None:
    unet = network(modalities, scales=scales)
    assert unet.divisor == (2 ** (scales - 1),) * 3
    for multiples in [(2, 2, 2), (2, 3, 4)]:
        size = [m * d for m, d in zip(multiples, unet.divisor, strict=True)]
        output = unet(torch.randn(2, modalities, *size))
        assert output.logits.shape == (2, 3, *size)
        assert output.deep == () and output.slices is None


def test_gradients_reach_every_parameter() -> None:
    unet = network()
    unet(torch.randn(2, 4, 8, 16, 8)).logits.square().mean().backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_dense_layer_sees_the_input_and_all_layers_before_it() -> None:
    torch.manual_seed(0)
    block = DenseBlock(5, 3, 4, 6)
    x = torch.randn(2, 5, 4, 5, 6)
    features: list[Tensor] = [x]
    for layer in block.layers:
        features.append(layer(torch.cat(features, 1)))
    assert [feature.shape[1] for feature in features] == [5, 3, 3, 3, 3]
    torch.testing.assert_close(block(x), block.transition(torch.cat(features, 1)))
    assert block(x).shape == (2, 6, 4, 5, 6)


def test_widths_double_up_to_the_most() -> None:
    unet = network(base_channels=4, growth_rate=2, scales=4, max_channels=12)
    assert [head.in_channels for head in unet.heads] == [12, 12, 8, 4]
    grown = [unet.get_submodule(f"encoder.{scale}.layers.0.0").out_channels for scale in range(4)]
    assert grown == [2, 4, 6, 6]
    assert [len(block.layers) for block in (*unet.encoder, *unet.decoder)] == [2] * 7


def test_the_sum_starts_with_the_spread_of_one_prediction() -> None:
    images = torch.randn(2, 4, 16, 16, 16)
    spreads = [network(base_channels=16, scales=scales)(images).logits.std().item() for scales in (2, 4)]
    assert all(0.2 < spread < 2 for spread in spreads)


def test_bfloat16_is_close_and_summed_in_single() -> None:
    unet = network().eval()
    images = torch.randn(1, 4, 16, 16, 16)
    with torch.no_grad():
        exact = torch.sigmoid(unet(images).logits)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = unet(images).logits
    assert coarse.dtype == torch.float32 and torch.isfinite(coarse).all()
    assert (torch.sigmoid(coarse) - exact).abs().mean() < 0.02


def test_the_same_seed_gives_the_same_weights() -> None:
    pairs = zip(network().parameters(), network().parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "wrong",
    [{"scales": 1}, {"base_channels": 0}, {"growth_rate": 0}, {"layers_per_block": -3}, {"max_channels": 0}],
    ids=str,
)
def test_wrong_options_are_refused(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} .*got {value}"):
        network(**wrong)
