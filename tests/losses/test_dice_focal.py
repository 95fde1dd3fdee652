"""Dice plus focal loss against NumPy in double precision, MONAI and torch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autobrats.losses.dice_cross_entropy import DiceCrossEntropy
from autobrats.losses.dice_focal import DiceFocal
from autobrats.networks.output import NetworkOutput

Output = Literal["regions", "labels"]
WEIGHTS = [0.5, 1.0, 3.0]
SHAPE = (4, 6, 5)


def logits_and_target(output: Output) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(2, 3, *SHAPE, generator=generator)
    if output == "regions":
        return logits, (torch.rand(2, 3, *SHAPE, generator=generator) > 0.7).to(torch.uint8)
    labels = torch.randint(0, 3, (2, *SHAPE), generator=generator)
    return logits, functional.one_hot(labels, 3).permute(0, 4, 1, 2, 3).to(torch.uint8)


def expected(
    logits: Tensor,
    target: Tensor,
    output: Output,
    gamma: float,
    epsilon: float,
    reduction: Literal["sum", "mean"],
    batch_dice: bool,
) -> float:
    """D + F of the slides for each sample and channel, in float64, and their weighted average."""
    x, y, w = logits.numpy().astype(np.float64), target.numpy().astype(np.float64), np.array(WEIGHTS)
    p = 1 / (1 + np.exp(-x)) if output == "regions" else np.exp(x) / np.exp(x).sum(1, keepdims=True)
    right = np.where(y == 1, p, 1 - p)
    focal = -((1 - right) ** gamma * np.log(right)).sum((2, 3, 4))
    if reduction == "mean":
        focal = focal / np.prod(SHAPE)
    first = 0 if output == "regions" else 1
    axes = (0, 2, 3, 4) if batch_dice else (2, 3, 4)
    overlap, size = (p * y)[:, first:].sum(axes), (p + y)[:, first:].sum(axes)
    dice = 1 - 2 * (overlap + epsilon) / (size + epsilon)
    return (dice @ w[first:]).mean() / w[first:].sum() + (focal @ w).mean() / w.sum()


@pytest.mark.parametrize("output", ["regions", "labels"])
@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(("gamma", "epsilon"), [(2.0, 1.0), (0.5, 1e-5)])
def test_the_formulas(
    output: Output, batch_dice: bool, reduction: Literal["sum", "mean"], gamma: float, epsilon: float
) -> None:
    logits, target = logits_and_target(output)
    loss = DiceFocal(output, torch.tensor(WEIGHTS), gamma, epsilon, reduction, batch_dice)
    value = expected(logits, target, output, gamma, epsilon, reduction, batch_dice)
    assert loss(NetworkOutput(logits), target).item() == pytest.approx(value, rel=1e-5)


def test_without_options_it_is_the_slides_loss_with_the_mean_focal_term() -> None:
    logits, target = logits_and_target("regions")
    value = expected(logits, target, "regions", gamma=2.0, epsilon=1.0, reduction="mean", batch_dice=False)
    assert DiceFocal("regions", torch.tensor(WEIGHTS))(NetworkOutput(logits), target).item() == pytest.approx(value)


@pytest.mark.parametrize("epsilon", [1.0, 0.25])
def test_the_dice_term_is_minus_1_for_nothing_and_just_below_0_for_the_truth(epsilon: float) -> None:
    _, target = logits_and_target("regions")
    right = 80.0 * (2 * target.float() - 1)
    sizes = target.sum((2, 3, 4)).double()
    loss = DiceFocal("regions", torch.ones(3), epsilon=epsilon)
    assert loss._dice(right, target.float()).item() == pytest.approx(
        (-epsilon / (2 * sizes + epsilon)).mean().item(), rel=1e-4
    )
    silence = torch.full((2, 3, *SHAPE), -80.0)
    assert loss._dice(silence, torch.zeros(2, 3, *SHAPE)).item() == pytest.approx(-1)


def test_focal_agrees_with_monai() -> None:
    from monai.losses import FocalLoss

    logits, target = logits_and_target("regions")
    weightless = DiceFocal("regions", torch.ones(3), gamma=1.5)._focal(logits, target.float())
    torch.testing.assert_close(weightless, FocalLoss(gamma=1.5)(logits, target.float()))


def test_dice_is_that_of_monai_but_for_epsilon() -> None:
    """MONAI's smooth terms are of the numerator and denominator: 2 eps and eps."""
    from monai.losses import DiceLoss

    logits, target = logits_and_target("regions")
    monai = DiceLoss(sigmoid=True, smooth_nr=2.0, smooth_dr=1.0)(logits, target.float())
    torch.testing.assert_close(DiceFocal("regions", torch.ones(3))._dice(logits, target.float()), monai)


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_gamma_0_is_binary_cross_entropy_of_each_channel(output: Output) -> None:
    logits, target = logits_and_target(output)
    p = torch.sigmoid(logits.double()) if output == "regions" else torch.softmax(logits.double(), 1)
    entropy = functional.binary_cross_entropy(p, target.double())
    focal = DiceFocal(output, torch.ones(3), gamma=0)._focal(logits, target.float())
    torch.testing.assert_close(focal.double(), entropy, rtol=1e-6, atol=0)


def test_soft_targets_are_mixed() -> None:
    """Half true: half the loss of a true voxel and half that of a false one."""
    logits, _ = logits_and_target("regions")
    loss = DiceFocal("regions", torch.ones(3))
    halves = [loss._focal(logits, torch.full_like(logits, value)) for value in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(halves[1], (halves[0] + halves[2]) / 2)


@pytest.mark.parametrize("output", ["regions", "labels"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_extreme_logits_and_absent_classes_stay_finite(output: Output, gamma: float, scale: float) -> None:
    logits = (scale * torch.randn(1, 3, *SHAPE, generator=torch.Generator().manual_seed(2))).requires_grad_()
    target = torch.zeros(1, 3, *SHAPE, dtype=torch.uint8)
    if output == "labels":
        target[:, 0] = 1
    loss = DiceFocal(output, torch.ones(3), gamma=gamma)(NetworkOutput(logits), target)
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_confident_mistakes_cost_their_logit(output: Output) -> None:
    """ln p is not cut off where p rounds to 0 or 1 in single precision."""
    _, target = logits_and_target(output)
    wrong = DiceFocal(output, torch.ones(3))._focal(-50 * (2 * target.float() - 1), target.float())
    assert wrong > 25


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_the_truth_costs_least(output: Output) -> None:
    logits, target = logits_and_target(output)
    loss = DiceFocal(output, torch.ones(3))
    truth = loss(NetworkOutput(40.0 * (2 * target.float() - 1)), target)
    assert truth < 0.01 < loss(NetworkOutput(logits), target)


def test_the_sum_drowns_the_dice_term() -> None:
    """Why the mean is the default: of the slides' sum, overlap is a thousandth even in this tiny patch."""
    logits, target = logits_and_target("regions")
    summed = DiceFocal("regions", torch.ones(3), focal_reduction="sum")
    meaned = DiceFocal("regions", torch.ones(3))
    focal_sum, focal_mean = (loss._focal(logits, target.float()) for loss in (summed, meaned))
    torch.testing.assert_close(focal_sum, focal_mean * np.prod(SHAPE).item())
    assert focal_sum > 50 * summed._dice(logits, target.float()).abs()


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_coarser_resolutions_weigh_a_half(output: Output) -> None:
    logits, target = logits_and_target(output)
    coarse = torch.randn(2, 3, 2, 3, 5, generator=torch.Generator().manual_seed(3))
    loss = DiceFocal(output, torch.tensor(WEIGHTS))
    blocks = target.float().unfold(2, 2, 2).unfold(3, 2, 2).mean((5, 6))
    expected_sum = loss(NetworkOutput(logits), target) + loss(NetworkOutput(coarse), blocks) / 2
    torch.testing.assert_close(loss(NetworkOutput(logits, (coarse,)), target), expected_sum / 1.5)


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_one_channel_of_foreground(output: Output) -> None:
    channels = 1 if output == "regions" else 2
    logits = torch.randn(1, channels, *SHAPE, generator=torch.Generator().manual_seed(4))
    foreground = (torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(5)) > 0.5).float()
    target = foreground[:, None] if output == "regions" else torch.stack([1 - foreground, foreground], 1)
    if output == "labels":  # a softmax over two channels is the sigmoid of their difference, for either of them
        alone = logits[:, 1:] - logits[:, :1]
    else:
        alone = logits
    whole = DiceFocal(output, torch.ones(channels))(NetworkOutput(logits), target)
    torch.testing.assert_close(whole, DiceFocal("regions", torch.ones(1))(NetworkOutput(alone), foreground[:, None]))


@pytest.mark.parametrize("output", ["regions", "labels"])
def test_bfloat16_autocast_reaches_every_parameter(output: Output) -> None:
    network = nn.Conv3d(2, 3, 3, padding=1)
    images, (_, target) = torch.randn(2, 2, *SHAPE), logits_and_target(output)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    assert logits.dtype == torch.bfloat16
    loss = DiceFocal(output, torch.tensor(WEIGHTS))
    value = loss(NetworkOutput(logits), target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(NetworkOutput(logits.float()), target))
    value.backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_no_parameters_and_dice_cross_entropys_channels() -> None:
    loss = DiceFocal("regions", torch.tensor(WEIGHTS))
    assert list(loss.parameters()) == []
    assert list(loss.state_dict()) == list(DiceCrossEntropy("regions", torch.tensor(WEIGHTS)).state_dict())


@pytest.mark.parametrize(
    "option", [{"gamma": -1.0}, {"epsilon": 0.0}, {"epsilon": -2.0}, {"focal_reduction": "median"}]
)
def test_wrong_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(option.values())))):
        DiceFocal("regions", torch.ones(3), **option)
