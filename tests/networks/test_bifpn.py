"""The BiFPN: its fusion and its pyramid against NumPy, the sizes of the paper's tables, gradients, precision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from autobrats.losses.classification_branch_loss import ClassificationBranchLoss
from autobrats.networks.bifpn import BiFPNLayer, BiFPNSegmenter, EncoderBlock, FastNormalisedFusion
from autobrats.planning.memory import estimate_training_memory_gib
from autobrats.planning.weightless import only_sizes, without_weights

SMALL = {"encoder_channels": [4, 8, 12], "features": 8, "bifpn_layers": 2, "classifier_features": 8, "lstm_layers": 1}


def network(in_channels: int = 4, out_channels: int = 3, **options) -> BiFPNSegmenter:
    torch.manual_seed(0)
    return BiFPNSegmenter(in_channels, out_channels, **{**SMALL, **options})


def fused(weights: np.ndarray, *maps: np.ndarray) -> np.ndarray:
    w = np.maximum(weights, 0)
    return sum(one * x for one, x in zip(w, maps, strict=True)) / (w.sum() + 1e-4)


def enlarged(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, 2).repeat(2, 3).repeat(2, 4)


def reduced(x: np.ndarray) -> np.ndarray:
    """The maximum over 3 x 3 x 3 voxels around every other voxel."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)), constant_values=-np.inf)
    z, y, across = x.shape[2:]
    shifts = itertools.product(range(3), repeat=3)
    return np.max([padded[:, :, i : i + z : 2, j : j + y : 2, k : k + across : 2] for i, j, k in shifts], 0)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.3, 2.0, 0.7], [-1.0, 0.5, 3.0]])
def test_fusion_is_the_normalised_sum(weights: list[float]) -> None:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, 3, 4, 5, 6, generator=generator) for _ in weights]
    fusion = FastNormalisedFusion(len(weights))
    with torch.no_grad():
        fusion.weights.copy_(torch.tensor(weights))
        result = fusion(*maps).numpy()
    exact = fused(np.array(weights), *(x.numpy().astype(np.float64) for x in maps))
    np.testing.assert_allclose(result, exact, rtol=1e-5, atol=1e-6)


def test_all_maps_weigh_the_same_at_first() -> None:
    assert FastNormalisedFusion(3)(*(torch.full((1,), value) for value in (1.0, 2.0, 6.0))).item() == pytest.approx(
        9 / 3.0001
    )


def test_the_pyramid_is_passed_down_and_back() -> None:
    """EfficientDet, section 3.3: P^td from coarse to fine; P^out from fine to coarse, with the input once more."""
    generator = torch.Generator().manual_seed(2)
    layer = BiFPNLayer(4, 2).double()
    for node in (*layer.down, *layer.back):
        node.convolution = nn.Identity()
        node.fusion.weights.data = torch.rand(node.fusion.weights.shape, generator=generator).double()
    maps = [torch.randn(1, 2, 2 * s, 3 * s, s, generator=generator).double() for s in (8, 4, 2, 1)]
    result = [x.detach().numpy() for x in layer(maps)]
    p1, p2, p3, p4 = (x.numpy() for x in maps)
    down, back = ([node.fusion.weights.detach().numpy() for node in nodes] for nodes in (layer.down, layer.back))
    td3 = fused(down[0], p3, enlarged(p4))
    td2 = fused(down[1], p2, enlarged(td3))
    out1 = fused(down[2], p1, enlarged(td2))
    out2 = fused(back[0], p2, td2, reduced(out1))
    out3 = fused(back[1], p3, td3, reduced(out2))
    out4 = fused(back[2], p4, reduced(out3))
    for given, exact in zip(result, (out1, out2, out3, out4), strict=True):
        np.testing.assert_allclose(given, exact, rtol=1e-9, atol=1e-12)


def test_an_encoder_block_adds_its_shortcut_after_the_activation() -> None:
    block, x = EncoderBlock(3, 4, 0.0), torch.randn(1, 3, 4, 6, 8)
    residual = block(x) - block.shortcut(x)
    assert residual.shape == (1, 4, 2, 3, 4)
    assert residual.min() > -1e-6 and residual.max() > 0.1


def test_the_published_sizes() -> None:
    """Tables 1 and 2, whose last axis holds the slices: x here, so sagittal in our order of axes.

    With 16 slices for the paper's 96: without weights, torch is slow at every slice of an LSTM.
    """
    sizes: dict[str, list[int]] = {}

    def remember(name: str):
        def hook(_module: nn.Module, _inputs: tuple, output) -> None:
            sizes[name] = list((output[0] if isinstance(output, tuple) else output).shape[1:])

        return hook

    bifpn = without_weights(lambda: BiFPNSegmenter(4, 3, slice_axis="sagittal")).eval()
    for level, block in enumerate(bifpn.encoder):
        block.register_forward_hook(remember(f"encoder {level + 1}"))
    for name in ("convolution", "doubling", "lstm", "logits"):
        getattr(bifpn.classifier, name).register_forward_hook(remember(name))
    with torch.no_grad(), only_sizes():
        output = bifpn(torch.empty(1, 4, 128, 128, 16, device="meta"))
    assert output.logits.shape == (1, 3, 128, 128, 16) and output.slices.shape == (1, 3, 16)
    assert sizes == {
        "encoder 1": [16, 64, 64, 8],
        "encoder 2": [32, 32, 32, 4],
        "encoder 3": [64, 16, 16, 2],
        "encoder 4": [128, 8, 8, 1],
        "convolution": [512, 64, 64, 8],
        "doubling": [512, 16],
        "lstm": [16, 1024],
        "logits": [3, 16],
    }
    assert bifpn.classifier.convolution[0].in_channels == 1024
    assert len(bifpn.pyramid) == 3 and bifpn.divisor == (16, 16, 16)


@pytest.mark.parametrize(("slice_axis", "slices"), [("axial", 8), ("coronal", 16), ("sagittal", 24)])
@pytest.mark.parametrize("modalities", [1, 4])
def test_logits_have_the_size_of_the_images_and_slices_of_their_axis(
    slice_axis: str, slices: int, modalities: int
) -> None:
    bifpn = network(modalities, 2, slice_axis=slice_axis)
    assert bifpn.divisor == (8, 8, 8) and bifpn.slice_axis == slice_axis
    for mode in (True, False):
        output = bifpn.train(mode)(torch.randn(2, modalities, 8, 16, 24))
        assert output.logits.shape == (2, 2, 8, 16, 24)
        assert output.slices.shape == (2, 2, slices)
        assert output.deep == ()


def test_the_branch_can_be_left_out() -> None:
    plain, whole = network(classification=False), network()
    assert plain(torch.randn(1, 4, 16, 16, 16)).slices is None
    assert set(whole.state_dict()) - set(plain.state_dict()) == {
        name for name in whole.state_dict() if name.startswith("classifier.")
    }


@pytest.mark.parametrize("levels", [2, 4])
def test_gradients_reach_every_parameter(levels: int) -> None:
    bifpn = network(encoder_channels=[4, 8, 8, 8][:levels])
    output = bifpn(torch.randn(2, 4, *(2 * side for side in bifpn.divisor)))
    (output.logits.square().mean() + output.slices.square().mean()).backward()
    for name, parameter in bifpn.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_its_memory_can_be_estimated() -> None:
    def estimate(in_plane: int) -> float:
        def loss() -> ClassificationBranchLoss:
            return ClassificationBranchLoss("regions", torch.ones(3))

        return estimate_training_memory_gib(network, loss, 4, 3, (16, in_plane, in_plane), 2, "cpu", False)

    assert 0 < estimate(16) < estimate(32) < 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"encoder_channels": [8]}, r"encoder_channels .* \[8\]"),
        ({"features": 0}, r"features .* \[4, 8, 12\] and 0"),
        ({"encoder_channels": [8, -4]}, r"encoder_channels .* \[8, -4\]"),
        ({"classifier_features": 0}, "at least 1 feature, not 0"),
        ({"bifpn_layers": 0}, "bifpn_layers must be at least 1, not 0"),
        ({"dropout": -0.1}, r"dropout .* -0\.1"),
        ({"lstm_layers": 0}, "lstm_layers .* 0"),
        ({"slice_axis": "z", "classification": False}, "not 'z'"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        network(**options)
