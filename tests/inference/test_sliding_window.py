"""The sliding window against MONAI's, and what must hold for any network."""

from __future__ import annotations

import itertools

import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference

from autobrats.inference.sliding_window import (
    gaussian_importance,
    mirrorings,
    predict_volume,
    window_size,
    window_starts,
)
from autobrats.networks.output import NetworkOutput


class Blur(torch.nn.Module):
    """A small network whose result depends on where its patch ends."""

    divisor = (4, 4, 4)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = torch.nn.Conv3d(2, 6, 5, padding=2)
        self.last = torch.nn.Conv3d(6, 3, 3, padding=1)
        self.patches: list[tuple[int, ...]] = []

    def forward(self, images):
        self.patches.append(tuple(images.shape))
        return NetworkOutput(self.last(torch.relu(self.first(images))))


def _images(*shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


def probabilities_of(*given, **options):
    return predict_volume(*given, **options).probabilities


def _identity(images):
    return images


@pytest.mark.parametrize("shape", [(16, 16, 16), (31, 40, 17), (5, 9, 16)])
@pytest.mark.parametrize("mirror_axes", [(), (0, 1, 2)])
def test_an_identity_network_reproduces_its_input(shape, mirror_axes):
    images = _images(*shape)
    result = probabilities_of(
        _identity, images, patch_size=(16, 16, 16), to_probabilities=_identity, mirror_axes=mirror_axes, batch_size=3
    )
    assert result.shape == images.shape
    assert torch.allclose(result, images, atol=1e-5)


def test_equals_monai():
    network, images = Blur().eval(), _images(32, 40, 24)
    ours = probabilities_of(network, images, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid, overlap=0.5)
    with torch.inference_mode():
        theirs = sliding_window_inference(
            images[None],
            (16, 16, 16),
            2,
            lambda x: torch.sigmoid(network(x).logits),
            overlap=0.5,
            roi_weight_map=gaussian_importance((16, 16, 16)),  # MONAI's own is cut off at 0.001
        )[0]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_mirroring_makes_the_prediction_equivariant():
    network, images = Blur().eval(), _images(24, 20, 16)
    options = {"patch_size": (16, 16, 16), "to_probabilities": torch.sigmoid, "mirror_axes": (0, 1, 2)}
    straight = probabilities_of(network, images, **options)
    for axis in (1, 2, 3):
        mirrored = probabilities_of(network, images.flip(axis), **options).flip(axis)
        assert torch.allclose(straight, mirrored, atol=1e-5)
    assert not torch.allclose(straight, probabilities_of(network, images, **{**options, "mirror_axes": ()}), atol=1e-3)


def test_the_weights_are_monais_above_its_cut_off():
    ours = gaussian_importance((16, 24, 32))
    theirs = compute_importance_map((16, 24, 32), mode="gaussian")
    theirs = theirs / theirs.max()
    inside = theirs > 2e-3
    assert torch.allclose((ours / ours.max())[inside], theirs[inside], rtol=1e-4)
    assert 0 < ours.min() < 1e-9


def test_windows_are_averaged_over_logits_too():
    network, images = Blur().eval(), _images(16, 16, 24)
    with torch.no_grad():
        network.last.weight.mul_(20)  # so that the sigmoid is not a straight line
    options = {"patch_size": (16, 16, 16), "to_probabilities": torch.sigmoid, "overlap": 0.5}
    with torch.inference_mode():
        windows = [network(images[None, ..., start : start + 16]).logits[0] for start in (0, 8)]
    weights = gaussian_importance((16, 16, 16))[..., 8:], gaussian_importance((16, 16, 16))[..., :8]
    both = (weights[0] * windows[0][..., 8:] + weights[1] * windows[1][..., :8]) / (weights[0] + weights[1])
    mean = probabilities_of(network, images, average="logits", **options)
    assert torch.allclose(mean[..., 8:16], both.sigmoid(), atol=1e-5)
    assert not torch.allclose(mean, probabilities_of(network, images, **options), atol=1e-4)


def test_averaged_logits_become_fewer_regions_or_as_many():
    network, images = Blur().eval(), _images(40, 16, 16)
    options = {"patch_size": (16, 16, 16), "overlap": 0.5, "average": "logits"}
    logits = probabilities_of(network, images, to_probabilities=_identity, **options)
    alike = probabilities_of(network, images, to_probabilities=torch.sigmoid, **options)
    fewer = probabilities_of(network, images, to_probabilities=lambda some: some.softmax(1)[:, 1:], **options)
    assert torch.equal(alike, logits.sigmoid()) and torch.allclose(fewer, logits.softmax(0)[1:])


def test_voxels_of_skipped_windows_are_absent_with_either_average():
    network, images = Blur().eval(), _images(16, 16, 48)
    images[..., 16:] = 0
    for average in ("probabilities", "logits"):
        found = probabilities_of(
            network, images, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid, overlap=0.0, average=average
        )
        assert found[..., 16:].max() == 0 < found[..., :16].min()


def test_averages_networks_by_weight_over_probabilities_or_logits():
    networks, images = [Blur(1).eval(), Blur(2).eval()], _images(16, 16, 16)
    options = {"patch_size": (16, 16, 16), "to_probabilities": torch.sigmoid}
    with torch.inference_mode():
        logits = [network(images[None]).logits[0] for network in networks]
    mean = probabilities_of(networks, images, weights=[3, 1], **options)
    assert torch.allclose(mean, 0.75 * logits[0].sigmoid() + 0.25 * logits[1].sigmoid(), atol=1e-5)
    mean = probabilities_of(networks, images, average="logits", **options)
    assert torch.allclose(mean, (0.5 * logits[0] + 0.5 * logits[1]).sigmoid(), atol=1e-5)
    with pytest.raises(ValueError, match="weights"):
        probabilities_of(networks, images, weights=[1], **options)


def test_background_is_skipped_and_predicted_as_nothing():
    network, images = Blur().eval(), torch.zeros(2, 16, 16, 64)
    images[:, :, :, :10] = 1
    result = probabilities_of(network, images, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid)
    assert len(network.patches) == 2, "windows from x = 0 and 8 see the brain, the other five do not"
    assert not result[..., 24:].any() and result[..., :10].all()
    empty = probabilities_of(network, images * 0, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid)
    assert empty.shape == (3, 16, 16, 64) and not empty.any()


def test_small_volumes_use_small_windows():
    assert window_size((10, 40, 17), (32, 32, 32), (4, 8, 16)) == (12, 32, 32)
    assert window_size((7, 20, 7), (32, 32, 16), (16, 16, 16)) == (32, 32, 16), (
        "two voxels are left at the coarsest stage"
    )
    network = Blur().eval()
    result = probabilities_of(network, _images(10, 40, 17), patch_size=(32, 32, 32), to_probabilities=torch.sigmoid)
    assert result.shape == (3, 10, 40, 17)
    assert set(network.patches) == {(1, 2, 12, 32, 20)}


def test_windows_cover_the_volume_with_the_overlap():
    starts = sorted({start[0] for start in window_starts((100, 16, 16), (16, 16, 16), 0.5)})
    assert starts[0] == 0 and starts[-1] == 84
    assert max(b - a for a, b in itertools.pairwise(starts)) <= 8
    assert len(list(mirrorings((0, 1, 2)))) == 8
    assert list(mirrorings(())) == [()]
