"""nnU-Net's network: sizes, supervision, and its weights under our names."""

from __future__ import annotations

import pytest
import torch

from autobrats.networks.plain_unet import PlainUNet, from_nnunet

STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]]


def network(**options) -> PlainUNet:
    torch.manual_seed(0)
    return PlainUNet(4, 3, [4, 6, 8, 8], STRIDES, **options)


def test_sizes_and_deep_supervision() -> None:
    unet = network().train()
    assert unet.divisor == (4, 8, 8)
    images = torch.randn(2, 4, 8, 16, 24)
    output = unet(images)
    assert output.logits.shape == (2, 3, 8, 16, 24)
    assert [tuple(logits.shape[2:]) for logits in output.deep] == [(8, 8, 12)]
    assert unet.eval()(images).deep == () and network(deep_supervision=False).train()(images).deep == ()


def test_the_default_of_nnunet_has_as_many_weights() -> None:
    """31,198,991 of PlainConvUNet with six stages for four images and three regions, but for the unused coarsest head."""
    with torch.device("meta"):
        unet = PlainUNet(4, 3, [32, 64, 128, 256, 320, 320], [[1] * 3, *[[2] * 3] * 5])
    assert len(unet.heads) == 4
    assert sum(p.numel() for p in unet.parameters()) == 31_198_991 - (320 * 3 + 3)


def test_the_weights_of_nnunet_are_taken() -> None:
    unet = network(kernels=[[1, 3, 3], *[[3, 3, 3]] * 3], convolutions=[1, 2, 2, 2], decoder_convolutions=[2, 2, 1])
    ours = {name: torch.full_like(tensor, index) for index, (name, tensor) in enumerate(unet.state_dict().items())}
    theirs = {}
    for name, tensor in ours.items():
        kind, *rest = name.split(".")
        if kind in ("encoder", "decoder"):
            stage, index, part, which = rest
            stages = f"encoder.stages.{stage}.0" if kind == "encoder" else f"decoder.stages.{stage}"
            theirs[f"{stages}.convs.{index}.{('conv', 'norm')[int(part)]}.{which}"] = tensor
            theirs[f"{stages}.convs.{index}.all_modules.{part}.{which}"] = tensor
            theirs[f"decoder.encoder.stages.{stage}.0.convs.{index}.conv.{which}"] = tensor
        elif kind == "ups":
            theirs["decoder.transpconvs." + ".".join(rest)] = tensor
        else:
            theirs[f"decoder.seg_layers.{int(rest[0]) + 1}.{rest[1]}"] = tensor
    theirs["decoder.seg_layers.0.weight"] = theirs["decoder.seg_layers.0.bias"] = torch.zeros(1)
    for prefix in ("", "_orig_mod."):
        taken = from_nnunet({prefix + name: tensor for name, tensor in theirs.items()}, len(unet.heads))
        assert taken.keys() == ours.keys()
        assert all(torch.equal(taken[name], ours[name]) for name in ours)
    unet.load_state_dict(taken)


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry a stage"):
        network(convolutions=[2, 2, 2])
