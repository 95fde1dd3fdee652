"""The default network: shapes, gradients, deep supervision, reduced precision."""

from __future__ import annotations

import itertools

import pytest
import torch

from autobrats.networks.residual_encoder_unet import ResidualEncoderUNet

HALVES = [2, 2, 2]


def network(strides: list[list[int]], in_channels: int = 4, out_channels: int = 3, **options) -> ResidualEncoderUNet:
    torch.manual_seed(0)
    stages = len(strides)
    return ResidualEncoderUNet(in_channels, out_channels, [4, 6, 8, 10][:stages], [1] * stages, strides, **options)


STRIDES = {
    "full resolution": [[1, 1, 1], HALVES, HALVES],
    "half resolution": [HALVES, HALVES, HALVES],
    "anisotropic": [[1, 1, 1], [1, 2, 2], HALVES, [1, 2, 2]],
    "anisotropic stem": [[1, 2, 2], HALVES, [2, 1, 1]],
    "stem of three and four": [[1, 3, 4], HALVES],
}


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES.keys())
@pytest.mark.parametrize("multiples", [(2, 2, 2), (2, 3, 4)])
@pytest.mark.parametrize("modalities", [1, 4])
def test_the_logits_have_the_size_of_the_images(
    strides: list[list[int]], multiples: tuple[int, int, int], modalities: int
) -> None:
    unet = network(strides, modalities)
    assert unet.divisor == tuple(torch.tensor(strides).prod(0).tolist())
    size = [m * d for m, d in zip(multiples, unet.divisor, strict=True)]
    output = unet(torch.randn(2, modalities, *size))
    assert output.logits.shape == (2, 3, *size)
    assert output.slices is None


def test_deep_outputs_come_finest_first_and_only_in_training() -> None:
    unet = network([HALVES, HALVES, HALVES, HALVES])
    images = torch.randn(1, 4, 32, 32, 32)
    deep = unet.train()(images).deep
    assert [tuple(logits.shape[2:]) for logits in deep] == [(8, 8, 8)]
    shallow = network([[1, 1, 1], [1, 2, 2], HALVES, HALVES]).train()(images).deep
    assert [tuple(logits.shape[2:]) for logits in shallow] == [(32, 16, 16)]
    assert unet.eval()(images).deep == ()
    assert network([HALVES, HALVES, HALVES, HALVES], deep_supervision=False).train()(images).deep == ()


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES.keys())
def test_gradients_reach_every_parameter(strides: list[list[int]]) -> None:
    unet = network(strides).train()
    optimiser = torch.optim.SGD(unet.parameters(), lr=0.1)
    for _ in range(2):  # a residual branch starts at zero: what is before its end gets gradients after one step
        optimiser.zero_grad()
        output = unet(torch.randn(2, 4, *(2 * side for side in unet.divisor)))
        sum(logits.square().mean() for logits in (output.logits, *output.deep)).backward()
        optimiser.step()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_residual_branch_starts_as_the_identity() -> None:
    unet = network([[1, 1, 1], HALVES])
    x = torch.rand(1, 4, 8, 8, 8)
    assert torch.equal(unet.encoder[0](x), x)


def test_more_blocks_and_convolutions_are_built() -> None:
    unet = ResidualEncoderUNet(1, 2, [4, 6, 8], [0, 2, 3], [[1, 1, 1], HALVES, HALVES], decoder_convolutions=2)
    assert [len(stage) for stage in unet.encoder] == [0, 2, 3]
    assert [len(stage) for stage in unet.decoder] == [2, 2]
    assert unet(torch.randn(1, 1, 8, 8, 8)).logits.shape == (1, 2, 8, 8, 8)


@pytest.mark.parametrize(
    ("channels", "blocks", "strides"),
    [([4], [1], [HALVES]), ([4, 6], [1], [HALVES, HALVES]), ([4, 6], [1, 0], [HALVES, HALVES])],
)
def test_wrong_stages_are_refused(channels: list[int], blocks: list[int], strides: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"stage|entry"):
        ResidualEncoderUNet(1, 1, channels, blocks, strides)


def test_the_same_seed_gives_the_same_weights() -> None:
    pairs = zip(network(STRIDES["anisotropic"]).parameters(), network(STRIDES["anisotropic"]).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in itertools.islice(pairs, None))
