"""The classic U-Net: the same as MONAI's, its size by hand, shapes, gradients, reduced precision."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import BasicUNet
from monai.networks.nets.basic_unet import UpCat
from torch import nn

from autobrats.networks.unet import UNet


def network(in_channels: int = 4, out_channels: int = 3, **options) -> UNet:
    torch.manual_seed(0)
    return UNet(in_channels, out_channels, **{"base_filters": 4, "levels": 3, **options})


def parameters_of(in_channels: int, out_channels: int, n: int, levels: int) -> int:
    """By hand: a double convolution has 27 (i o + o o) weights and 2 x 2 o of its normalisations."""

    def double(i: int, o: int) -> int:
        return 27 * (i * o + o * o) + 4 * o

    filters = [n * 2**level for level in range(levels)]
    down = double(in_channels, n) + sum(double(f, 2 * f) for f in filters[:-1])
    up = sum((2 * f * f * 8 + f) + double(2 * f, f) for f in filters[:-1])
    return down + up + n * out_channels + out_channels


@pytest.mark.parametrize(
    ("n", "levels", "pinned"), [(16, 5, 5_647_715), (8, 5, None), (8, 4, None), (4, 3, None)], ids=str
)
def test_the_number_of_parameters_is_the_one_by_hand(n: int, levels: int, pinned: int | None) -> None:
    unet = UNet(4, 3, base_filters=n, levels=levels)
    count = sum(parameter.numel() for parameter in unet.parameters())
    assert count == parameters_of(4, 3, n, levels)
    assert pinned is None or count == pinned


def test_the_published_network_is_the_default() -> None:
    unet = UNet(3, 3)
    assert unet.divisor == (16, 16, 16)
    widths = [level[0].out_channels for level in unet.encoder]
    assert widths == [16, 32, 64, 128, 256]
    assert {m.num_groups for m in unet.modules() if isinstance(m, nn.GroupNorm)} == {4}


def parametrised(network: nn.Module) -> list[nn.Module]:
    """The modules with weights, in the order of the data but for the transposed convolutions, which come first."""
    kinds = (nn.Conv3d, nn.ConvTranspose3d, nn.GroupNorm, nn.InstanceNorm3d)
    found = [module for module in network.modules() if isinstance(module, kinds)]
    return sorted(found, key=lambda module: not isinstance(module, nn.ConvTranspose3d))


@pytest.mark.parametrize("normalisation", ["group", "instance"])
def test_it_is_monai_s_basic_unet(normalisation: str) -> None:
    """MONAI's has five levels, biases, and a last transition that keeps the filters: exchanged for one that halves them."""
    unet = network(4, 3, levels=5, normalisation=normalisation).double()
    norm = ("group", {"num_groups": 4}) if normalisation == "group" else ("instance", {"affine": True})
    reference = BasicUNet(3, 4, 3, (4, 8, 16, 32, 64, 4), act="relu", norm=norm, bias=True)
    reference.upcat_1 = UpCat(3, 8, 4, 4, act="relu", norm=norm, bias=True)
    reference = reference.double()
    with torch.no_grad():
        for mine, theirs in zip(parametrised(unet), parametrised(reference), strict=True):
            for name, parameter in theirs.named_parameters():
                values = getattr(mine, name)
                parameter.copy_(torch.zeros_like(parameter) if values is None else values.normal_(0, 0.2))
        images = torch.randn(2, 4, 32, 16, 48, dtype=torch.float64)
        expected = reference(images)
    assert expected.std() > 0.01
    torch.testing.assert_close(unet(images).logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("levels", [2, 3, 5])
@pytest.mark.parametrize("modalities", [1, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_logits_have_the_size_of_the_images(levels: int, modalities: int, channels: int) -> None:
    unet = network(modalities, channels, levels=levels)
    assert unet.divisor == (2 ** (levels - 1),) * 3
    size = tuple(multiple * side for multiple, side in zip((1, 3, 2), unet.divisor, strict=True))
    output = unet.train()(torch.randn(1, modalities, *size))
    assert output.logits.shape == (1, channels, *size)
    assert output.deep == () and output.slices is None


@pytest.mark.parametrize("normalisation", ["group", "instance"])
def test_gradients_reach_every_parameter(normalisation: str) -> None:
    unet = network(normalisation=normalisation).train()
    unet(torch.randn(1, 4, 16, 8, 8)).logits.square().mean().backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_patch_of_one_voxel_at_the_lowest_level_trains() -> None:
    unet = network().train()
    unet(torch.randn(1, 4, *unet.divisor)).logits.square().mean().backward()
    lowest = unet.encoder[-1][0].weight.grad
    assert torch.isfinite(lowest).all() and lowest.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"levels": 1}, "levels must be at least 2: 1"),
        ({"base_filters": 6}, "base_filters must be a multiple of the 4 groups .*: 6"),
        ({"base_filters": 0}, "base_filters .*: 0"),
        ({"normalisation": "batch"}, "normalisation must be one of group, instance: 'batch'"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        UNet(4, 3, **options)


def test_any_number_of_filters_has_instance_normalisation() -> None:
    assert network(base_filters=6, normalisation="instance")(torch.randn(1, 4, 8, 8, 8)).logits.shape == (1, 3, 8, 8, 8)
