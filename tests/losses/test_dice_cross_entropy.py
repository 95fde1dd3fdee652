"""Dice plus cross-entropy against NumPy in double precision, MONAI and torch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.dice_cross_entropy import DiceCrossEntropy
from autobrats.networks.output import NetworkOutput

Output = Literal["regions", "labels"]
WEIGHTS = [0.5, 1.0, 3.0]


def logits_and_target(output: Output, size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(2, 3, size, size, size, generator=generator)
    if output == "regions":
        return logits, (torch.rand(2, 3, size, size, size, generator=generator) > 0.7).to(torch.uint8)
    labels = torch.randint(0, 3, (2, size, size, size), generator=generator)
    return logits, functional.one_hot(labels, 3).permute(0, 4, 1, 2, 3).to(torch.uint8)


def expected(logits: Tensor, target: Tensor, output: Output, weights: list[float], batch_dice: bool, smooth: float):
    """The two terms by their formulas, in float64."""
    x, t, w = logits.numpy().astype(np.float64), target.numpy().astype(np.float64), np.array(weights)
    if output == "regions":
        p = 1 / (1 + np.exp(-x))
        each = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean((0, 2, 3, 4))
        entropy = (each * w).sum() / w.sum()
    else:
        p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        share = t * w[None, :, None, None, None]
        entropy = -(share * np.log(p)).sum() / share.sum()
        p, t, w = p[:, 1:], t[:, 1:], w[1:]
    axes = (0, 2, 3, 4) if batch_dice else (2, 3, 4)
    dice = 1 - (2 * (p * t).sum(axes) + smooth) / (p.sum(axes) + t.sum(axes) + smooth)
    return (dice.reshape(-1, len(w)) * w).sum(1).mean() / w.sum(), entropy


@pytest.mark.parametrize("output", ["regions", "labels"])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], WEIGHTS])
@pytest.mark.parametrize("batch_dice", [True, False])
def test_the_formulas(output: Output, weights: list[float], batch_dice: bool) -> None:
    logits, target = logits_and_target(output)
    loss = DiceCrossEntropy(output, torch.tensor(weights), 0.7, 1.3, batch_dice, smooth=2.0)
    dice, entropy = expected(logits, target, output, weights, batch_dice, 2.0)
    assert loss(NetworkOutput(logits), target).item() == pytest.approx(0.7 * dice + 1.3 * entropy, rel=1e-5)


@pytest.mark.parametrize("batch_dice", [True, False])
def test_regions_agree_with_monai_and_torch(batch_dice: bool) -> None:
    from monai.losses import DiceLoss

    logits, target = logits_and_target("regions")
    ones = torch.ones(3)
    dice = DiceCrossEntropy("regions", ones, 1.0, 0.0, batch_dice)(NetworkOutput(logits), target)
    monai = DiceLoss(sigmoid=True, batch=batch_dice, smooth_nr=1.0, smooth_dr=1.0)(logits, target.float())
    torch.testing.assert_close(dice, monai)
    entropy = DiceCrossEntropy("regions", ones, 0.0, 1.0)(NetworkOutput(logits), target)
    torch.testing.assert_close(entropy, functional.binary_cross_entropy_with_logits(logits, target.float()))


def test_labels_agree_with_monai_and_torch() -> None:
    from monai.losses import DiceLoss

    logits, target = logits_and_target("labels")
    weights = torch.tensor(WEIGHTS)
    dice = DiceCrossEntropy("labels", torch.ones(3), 1.0, 0.0)(NetworkOutput(logits), target)
    monai = DiceLoss(softmax=True, include_background=False, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    torch.testing.assert_close(dice, monai(logits, target.float()))
    entropy = DiceCrossEntropy("labels", weights, 0.0, 1.0)(NetworkOutput(logits), target)
    torch.testing.assert_close(entropy, functional.cross_entropy(logits, target.argmax(1), weights))


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_coarser_resolutions_weigh_a_half_and_a_quarter(output: Output) -> None:
    logits, target = logits_and_target(output)
    deep = [torch.randn(2, 3, side, side, side, generator=torch.Generator().manual_seed(side)) for side in (4, 2)]
    loss = DiceCrossEntropy(output, torch.ones(3))
    total = loss(NetworkOutput(logits, tuple(deep)), target)
    scales = [loss(NetworkOutput(logits), target)]
    for coarse in deep:
        factor = 8 // coarse.shape[-1]
        blocks = target.float().unfold(2, factor, factor).unfold(3, factor, factor).unfold(4, factor, factor)
        scales.append(loss(NetworkOutput(coarse), blocks.mean((5, 6, 7))))
    torch.testing.assert_close(total, (scales[0] + scales[1] / 2 + scales[2] / 4) / 1.75)


@pytest.mark.parametrize("output", ["regions", "labels"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_without_foreground_all_is_finite(output: Output, scale: float) -> None:
    logits = (scale * torch.randn(1, 3, 4, 4, 4, generator=torch.Generator().manual_seed(2))).requires_grad_()
    target = torch.zeros(1, 3, 4, 4, 4, dtype=torch.uint8)
    if output == "labels":
        target[:, 0] = 1
    loss = DiceCrossEntropy(output, torch.ones(3))(NetworkOutput(logits), target)
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_the_truth_costs_nothing_and_its_opposite_much(output: Output) -> None:
    _, target = logits_and_target(output)
    loss = DiceCrossEntropy(output, torch.ones(3))
    right, wrong = 40.0 * (target.float() * 2 - 1), -40.0 * (target.float() * 2 - 1)
    assert loss(NetworkOutput(right), target) < 1e-3
    assert loss(NetworkOutput(wrong), target) > 10


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("output", ["regions", "labels"])
def test_half_precision_logits_are_summed_in_single(kind: torch.dtype, output: Output) -> None:
    logits, target = logits_and_target(output, size=48)  # 110,592 voxels: more than float16 can count
    loss = DiceCrossEntropy(output, torch.ones(3))
    half = logits.to(kind)
    result = loss(NetworkOutput(half), target)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, loss(NetworkOutput(half.float()), target))


def test_weights_follow_the_loss_but_are_no_parameters() -> None:
    loss = DiceCrossEntropy("regions", torch.tensor(WEIGHTS))
    assert list(loss.parameters()) == []
    assert loss.to(torch.float64).channel_weights.dtype == torch.float64


@pytest.mark.parametrize("output", ["regions", "labels"])
@pytest.mark.parametrize("batch_dice", [True, False])
def test_weights_may_be_for_the_cross_entropy_alone(output: Output, batch_dice: bool) -> None:
    logits, target = logits_and_target(output)
    loss = DiceCrossEntropy(output, torch.tensor(WEIGHTS), batch_dice=batch_dice, weighted_dice=False)
    dice, _ = expected(logits, target, output, [1.0, 1.0, 1.0], batch_dice, 1.0)
    _, entropy = expected(logits, target, output, WEIGHTS, batch_dice, 1.0)
    assert loss(NetworkOutput(logits), target).item() == pytest.approx(dice + entropy, rel=1e-5)


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_by_default_the_weights_are_for_both_terms(output: Output) -> None:
    logits, target = logits_and_target(output)
    by_default = DiceCrossEntropy(output, torch.tensor(WEIGHTS))(NetworkOutput(logits), target)
    assert torch.equal(
        by_default, DiceCrossEntropy(output, torch.tensor(WEIGHTS), weighted_dice=True)(NetworkOutput(logits), target)
    )
    assert by_default != DiceCrossEntropy(output, torch.tensor(WEIGHTS), weighted_dice=False)(
        NetworkOutput(logits), target
    )


def test_cross_entropy_weighted_by_median_frequency() -> None:
    """anand2020, section 3.2: no Dice term, each label weighs median / frequency; here 130, 50 and 20 of 200 voxels."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.tensor([0] * 130 + [1] * 50 + [2] * 20)[torch.randperm(200, generator=generator)].reshape(2, 5, 4, 5)
    logits = torch.randn(2, 3, 5, 4, 5, generator=generator)
    weights = torch.tensor([50 / 130, 1.0, 50 / 20])
    target = functional.one_hot(labels, 3).permute(0, 4, 1, 2, 3)

    x, index = logits.numpy().astype(np.float64), labels.numpy()
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    of_truth = np.take_along_axis(log_p, index[:, None], 1)[:, 0]
    share = np.array([50 / 130, 1.0, 50 / 20])[index]
    by_formula = -(share * of_truth).sum() / share.sum()

    loss = DiceCrossEntropy("labels", weights, dice_weight=0.0)(NetworkOutput(logits), target)
    assert loss.item() == pytest.approx(by_formula, rel=1e-6)
    torch.testing.assert_close(loss, torch.nn.CrossEntropyLoss(weights)(logits, labels))
