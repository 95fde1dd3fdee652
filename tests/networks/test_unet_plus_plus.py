"""The UNet++: against NumPy in double precision, the sizes of the paper's table, gradients, precision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from autobrats.networks.unet_plus_plus import UNetPlusPlus
from autobrats.planning.weightless import only_sizes, without_weights

SMALL = {"channels": [4, 8, 12], "classifier_features": 8, "lstm_layers": 1}


def network(in_channels: int = 4, out_channels: int = 3, **options) -> UNetPlusPlus:
    torch.manual_seed(0)
    return UNetPlusPlus(in_channels, out_channels, **{**SMALL, **options})


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A 3 x 3 x 3 convolution of (batch, channel, z, y, x), zeros around."""
    z, y, across = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)))
    result = np.zeros((x.shape[0], kernel.shape[0], z, y, across))
    for i, j, k in itertools.product(range(3), repeat=3):
        result += np.einsum("bczyx,oc->bozyx", padded[:, :, i : i + z, j : j + y, k : k + across], kernel[..., i, j, k])
    return result


def normalised(x: np.ndarray, groups: int) -> np.ndarray:
    """Group normalisation of (batch, channel, ...), its weights one and its biases zero."""
    grouped = x.reshape(x.shape[0], groups, -1)
    grouped = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
    return grouped.reshape(x.shape)


def halved(x: np.ndarray) -> np.ndarray:
    """Maxima of 2 x 2 x 2 voxels."""
    batch, channels, z, y, across = x.shape
    return x.reshape(batch, channels, z // 2, 2, y // 2, 2, across // 2, 2).max((3, 5, 7))


def enlarged(x: np.ndarray) -> np.ndarray:
    """Linear interpolation, every new voxel a quarter of a voxel from an old one's centre; the edges go on."""
    for axis in (2, 3, 4):
        padded = np.concatenate([x.take([0], axis), x, x.take([-1], axis)], axis)
        before, behind = padded.take(range(x.shape[axis]), axis), padded.take(range(2, x.shape[axis] + 2), axis)
        pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * behind], axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def test_the_logits_are_those_of_the_equations() -> None:
    """Zhou et al., equation 1, and blocks of ReLU, convolution, normalisation, convolution, normalisation."""
    unet = network(2, 3, channels=[3, 6, 16], classification=False).double()
    w = {name: value.numpy() for name, value in unet.state_dict().items()}
    groups = {3: 3, 6: 6, 16: 8}
    images = torch.randn(2, 2, 4, 8, 12, generator=torch.Generator().manual_seed(1)).double()

    def block(x: np.ndarray, name: str) -> np.ndarray:
        for layer in (1, 3):
            x = convolved(x, w[f"{name}.{layer}.weight"])
            x = normalised(x, groups[x.shape[1]])
        return x

    def node(name: str, *maps: np.ndarray) -> np.ndarray:
        return block(np.concatenate(maps, 1).clip(min=0), name)

    x00 = block(images.numpy(), "encoder.0")
    x10 = node("encoder.1", halved(x00))
    x20 = node("encoder.2", halved(x10))
    x01 = node("pathways.0.0", x00, enlarged(x10))
    x11 = node("pathways.1.0", x10, enlarged(x20))
    x02 = node("pathways.0.1", x00, x01, enlarged(x11))
    logits = [
        np.einsum("bczyx,oc->bozyx", x, w[f"heads.{index}.weight"][..., 0, 0, 0])
        + w[f"heads.{index}.bias"].reshape(1, -1, 1, 1, 1)
        for index, x in enumerate((x01, x02))
    ]
    np.testing.assert_allclose(unet(images).logits.detach().numpy(), (logits[0] + logits[1]) / 2, rtol=1e-8, atol=1e-8)


def test_intensities_below_the_mean_count() -> None:
    unet, images = network().eval(), torch.randn(1, 4, 8, 8, 8)
    darker = torch.where(images < 0, 2 * images, images)
    assert (unet(darker).logits - unet(images).logits).abs().max() > 0.01


def test_the_published_sizes() -> None:
    """Table 3, and the widths of the repository that the paper builds on.

    With 16 slices for the paper's 128: without weights, torch is slow at every slice of an LSTM.
    """
    sizes: dict[str, list[int]] = {}

    def remember(name: str):
        def hook(_module: nn.Module, _inputs: tuple, output) -> None:
            sizes[name] = list((output[0] if isinstance(output, tuple) else output).shape[1:])

        return hook

    unet = without_weights(lambda: UNetPlusPlus(4, 3)).eval()
    for name in ("convolution", "lstm", "logits"):
        getattr(unet.classifier, name).register_forward_hook(remember(name))
    with torch.no_grad(), only_sizes():
        output = unet(torch.empty(1, 4, 16, 128, 128, device="meta"))
    assert output.logits.shape == (1, 3, 16, 128, 128) and output.slices.shape == (1, 3, 16)
    assert sizes == {"convolution": [256, 16, 128, 128], "lstm": [16, 512], "logits": [3, 16]}
    assert unet.classifier.convolution[0].in_channels == 128 and unet.classifier.lstm.num_layers == 3
    assert [[block[1].in_channels for block in pathway] for pathway in unet.pathways] == [
        [96, 128, 160, 192],
        [192, 256, 320],
        [384, 512],
        [768],
    ]
    assert unet.divisor == (16, 16, 16)


@pytest.mark.parametrize(("slice_axis", "slices"), [("axial", 4), ("coronal", 8), ("sagittal", 12)])
@pytest.mark.parametrize("modalities", [1, 4])
def test_logits_have_the_size_of_the_images_and_slices_of_their_axis(
    slice_axis: str, slices: int, modalities: int
) -> None:
    unet = network(modalities, 2, slice_axis=slice_axis)
    assert unet.divisor == (4, 4, 4) and unet.slice_axis == slice_axis
    for mode in (True, False):
        output = unet.train(mode)(torch.randn(2, modalities, 4, 8, 12))
        assert output.logits.shape == (2, 2, 4, 8, 12)
        assert output.slices.shape == (2, 2, slices)
        assert output.deep == ()


def test_an_odd_number_of_slices_is_one_that_the_divisor_allows() -> None:
    unet = network(channels=[4, 8])
    assert unet(torch.randn(1, 4, 6, 10, 14)).slices.shape == (1, 3, 6)


def test_the_branch_can_be_left_out() -> None:
    plain, whole = network(classification=False), network()
    assert plain(torch.randn(1, 4, 8, 8, 8)).slices is None
    assert set(whole.state_dict()) - set(plain.state_dict()) == {
        name for name in whole.state_dict() if name.startswith("classifier.")
    }


@pytest.mark.parametrize("resolutions", [2, 4])
def test_gradients_reach_every_parameter(resolutions: int) -> None:
    unet = network(channels=[4, 8, 8, 8][:resolutions])
    output = unet(torch.randn(2, 4, *(2 * side for side in unet.divisor)))
    (output.logits.square().mean() + output.slices.square().mean()).backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"channels": [8]}, r"channels .* \[8\]"),
        ({"channels": [8, -4]}, r"channels .* \[8, -4\]"),
        ({"dropout": -0.1}, r"dropout .* -0\.1"),
        ({"lstm_layers": 0}, "lstm_layers .* 0"),
        ({"slice_axis": "z", "classification": False}, "not 'z'"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        network(**options)
