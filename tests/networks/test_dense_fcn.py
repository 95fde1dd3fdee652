"""The network of dense blocks: its 77 layers, its arithmetic by hand, shapes, gradients, reduced precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from autobrats.networks.dense_fcn import DenseBlock, DenseFCN

CONVOLUTIONS = (nn.Conv3d, nn.ConvTranspose3d)


def network(in_channels: int = 4, out_channels: int = 3, **options) -> DenseFCN:
    torch.manual_seed(0)
    small = {"first_channels": 8, "layers": [2, 3], "bottleneck_layers": 3}
    return DenseFCN(in_channels, out_channels, **{**small, **options})


def test_the_published_network_has_77_layers_and_is_the_default() -> None:
    dense = DenseFCN(4, 4)
    convolutions = [module for module in dense.modules() if isinstance(module, CONVOLUTIONS)]
    assert len(convolutions) == dense.n_layers == 77
    assert sum(parameter.numel() for parameter in dense.parameters()) == 1_026_504
    in_blocks = [m for block in dense.modules() if isinstance(block, DenseBlock) for m in block.modules()]
    assert {m.out_channels for m in in_blocks if isinstance(m, nn.Conv3d)} == {4}
    assert dense.divisor == (16, 16, 16)


@pytest.mark.parametrize(
    ("layers", "bottleneck", "counted"), [([4, 5, 7, 10, 12], 15, 103), ([4] * 5, 4, 56), ([1], 1, 7)], ids=str
)
def test_layers_are_counted_as_in_the_tiramisu(layers: list[int], bottleneck: int, counted: int) -> None:
    """FC-DenseNet103 and FC-DenseNet56 of Jégou et al. (2017), and the smallest one."""
    dense = network(layers=layers, bottleneck_layers=bottleneck)
    assert dense.n_layers == counted
    assert counted == sum(isinstance(module, CONVOLUTIONS) for module in dense.modules())


def test_every_layer_sees_what_all_before_it_made() -> None:
    dense = DenseFCN(4, 3)
    seen = [[layer[2].in_channels for layer in block.layers] for block in dense.down_blocks]
    assert seen[0] == [16, 20, 24, 28]
    assert seen[1] == [32, 36, 40, 44, 48]
    assert [layer[2].in_channels for layer in dense.bottleneck.layers][:2] == [120, 124]
    up = [block.layers[0][2].in_channels for block in dense.up_blocks]
    assert up == [4 * 15 + 120, 4 * 10 + 80, 4 * 7 + 52, 4 * 5 + 32]  # only new maps come up, beside the way down


def convolve(x: np.ndarray, module: nn.Conv3d) -> np.ndarray:
    """Shape (channel, z, y, x), with zeros around."""
    weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
    reach = weight.shape[-1] // 2
    padded = np.pad(x, [(0, 0)] + [(reach, reach)] * 3)
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (1, 2, 3))
    return np.einsum("izyxabc,oiabc->ozyx", windows, weight) + bias[:, None, None, None]


def activate(x: np.ndarray, norm: nn.GroupNorm, group: int) -> np.ndarray:
    """Normalised over groups of so many channels, not below zero."""
    groups = x.reshape(-1, group * x[0].size)
    centred = groups - groups.mean(1, keepdims=True)
    normalised = (centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)).reshape(x.shape)
    weight, bias = (p.detach().numpy()[:, None, None, None] for p in (norm.weight, norm.bias))
    return np.maximum(0, normalised * weight + bias)


def enlarge(maps: np.ndarray, module: nn.ConvTranspose3d) -> np.ndarray:
    """Every voxel adds its kernel around twice its place."""
    weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
    canvas = np.zeros((weight.shape[1], *(2 * side + 2 for side in maps.shape[1:])))
    for voxel in np.ndindex(maps.shape[1:]):
        reached = (slice(None), *(slice(2 * i, 2 * i + 3) for i in voxel))
        canvas[reached] += np.einsum("i,ioabc->oabc", maps[(slice(None), *voxel)], weight)
    return canvas[:, 1:-1, 1:-1, 1:-1] + bias[:, None, None, None]


def grow(x: np.ndarray, block: DenseBlock, group: int) -> tuple[np.ndarray, np.ndarray]:
    """The block's input with its new maps, and the new maps alone."""
    maps = x
    for layer in block.layers:
        maps = np.concatenate([maps, convolve(activate(maps, layer[0], group), layer[2])])
    return maps, maps[len(x) :]


def test_the_arithmetic_is_the_one_by_hand() -> None:
    dense = network(2, 3, growth_rate=2, first_channels=4, layers=[2], bottleneck_layers=3).double().train()
    for parameter in dense.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    images = torch.randn(1, 2, 4, 6, 8, dtype=torch.float64)

    skip, _ = grow(convolve(images[0].numpy(), dense.first), dense.down_blocks[0], 2)
    down = dense.transitions_down[0]
    pooled = convolve(activate(skip, down[0], 2), down[2]).reshape(8, 2, 2, 3, 2, 4, 2).max((2, 4, 6))
    _, new = grow(pooled, dense.bottleneck, 2)
    up = np.concatenate([enlarge(new, dense.transitions_up[0]), skip])
    maps, _ = grow(up, dense.up_blocks[0], 2)
    expected = convolve(maps, dense.last)

    assert expected.std() > 0.1
    np.testing.assert_allclose(dense(images).logits[0].detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [[2], [1, 2], [1, 1, 1, 1]], ids=str)
@pytest.mark.parametrize("modalities", [1, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_logits_have_the_size_of_the_images(layers: list[int], modalities: int, channels: int) -> None:
    dense = network(modalities, channels, layers=layers)
    assert dense.divisor == (2 ** len(layers),) * 3
    size = tuple(multiple * side for multiple, side in zip((1, 3, 2), dense.divisor, strict=True))
    output = dense.train()(torch.randn(1, modalities, *size))
    assert output.logits.shape == (1, channels, *size)
    assert output.deep == () and output.slices is None


@pytest.mark.parametrize("side", [16, 32])
def test_the_published_network_trains_on_small_patches(side: int) -> None:
    """At 16, the bottleneck has one voxel: it still gets a signal, from batches of one."""
    dense = DenseFCN(4, 3).train()
    dense(torch.randn(1, 4, side, side, side)).logits.square().mean().backward()
    for name, parameter in dense.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_is_for_training_only() -> None:
    dense = network(dropout=0.5)
    images = torch.randn(1, 4, 8, 8, 8)
    torch.testing.assert_close(dense.eval()(images).logits, network().eval()(images).logits)
    assert not torch.equal(dense.train()(images).logits, dense(images).logits)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"growth_rate": 0}, "growth_rate must be at least 1: 0"),
        ({"first_channels": 6}, "first_channels must be a multiple of the growth rate, 4: 6"),
        ({"first_channels": 0}, "first_channels .*: 0"),
        ({"layers": []}, r"at least one layer: \[\]"),
        ({"layers": [2, 0]}, r"at least one layer: \[2, 0\]"),
        ({"bottleneck_layers": 0}, "at least one layer: .*, 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1: 1.0"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        network(**options)
