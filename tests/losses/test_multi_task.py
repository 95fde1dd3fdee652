"""The multi-task loss and voxel mining against NumPy in double precision, MONAI and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.dice_cross_entropy import DiceCrossEntropy
from autobrats.losses.multi_task import MultiTask
from autobrats.losses.voxel_mining import VoxelMining
from autobrats.networks.output import NetworkOutput

BRATS = [[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]]
"""WT, TC and ET of background, NCR, ED and ET."""
PLAIN = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
WEIGHTS = [0.5, 1.0, 3.0, 2.0]


def logits_and_target(output: str, shape: tuple[int, int, int] = (5, 6, 7)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(2, 4, *shape, generator=generator)
    if output == "regions":
        return logits, (torch.rand(2, 4, *shape, generator=generator) > 0.7).to(torch.uint8)
    labels = torch.randint(0, 4, (2, *shape), generator=generator)
    return logits, functional.one_hot(labels, 4).permute(0, 4, 1, 2, 3).to(torch.uint8)


def multi_task(output: Any = "labels", table: list[list[int]] | None = BRATS, **options) -> MultiTask:
    loss = MultiTask(output, torch.tensor(options.pop("weights", [1.0] * 4)), **options)
    if table is not None:
        loss.region_channels = [[channel for channel, is_in in enumerate(row) if is_in] for row in table]
    return loss


def softmax(logits: Tensor) -> np.ndarray:
    exponentials = np.exp(logits.numpy().astype(np.float64))
    return exponentials / exponentials.sum(1, keepdims=True)


def binary(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def expected_terms(logits: Tensor, target: Tensor, table: list[list[int]]) -> tuple[np.ndarray, np.ndarray, float]:
    """Cross-entropy and binary cross-entropy of every voxel, and 1 - average Dice of the four labels, unsmoothed."""
    p, t = softmax(logits), target.numpy().astype(np.float64)
    entropy = -(t * np.log(p)).sum(1)
    members = np.array([[1, 0, 0, 0], *table], np.float64)
    categories = binary(np.einsum("rc,bczyx->brzyx", members, p), np.einsum("rc,bczyx->brzyx", members, t)).mean(1)
    axes = (0, 2, 3, 4)
    dice = 2 * (p * t).sum(axes) / (p.sum(axes) + t.sum(axes))
    return entropy, categories, 1 - dice.mean()


@pytest.mark.parametrize("table", [BRATS, PLAIN], ids=["brats", "plain labels"])
def test_the_three_terms_of_labels(table: list[list[int]]) -> None:
    logits, target = logits_and_target("labels")
    entropy, categories, dice = expected_terms(logits, target, table)
    value = multi_task(table=table, smooth=0.0)(NetworkOutput(logits), target).item()
    assert value == pytest.approx(entropy.mean() + categories.mean() + dice, rel=1e-5)
    weighed = multi_task(table=table, smooth=0.0, cross_entropy_weight=0.3, category_weight=0.5, dice_weight=2.0)
    expected = 0.3 * entropy.mean() + 0.5 * categories.mean() + 2 * dice
    assert weighed(NetworkOutput(logits), target).item() == pytest.approx(expected, rel=1e-5)


def test_dice_is_averaged_with_or_without_the_background_as_monai_does() -> None:
    from monai.losses import DiceLoss

    logits, target = logits_and_target("labels")
    for background in (True, False):
        for batch in (True, False):
            loss = multi_task(
                cross_entropy_weight=0, category_weight=0, dice_background=background, batch_dice=batch, smooth=2.0
            )
            monai = DiceLoss(softmax=True, include_background=background, batch=batch, smooth_nr=2.0, smooth_dr=2.0)
            torch.testing.assert_close(loss(NetworkOutput(logits), target), monai(logits, target.float()))


def test_without_a_table_it_is_dice_and_cross_entropy() -> None:
    logits, target = logits_and_target("labels")
    for weights in ([1.0] * 4, WEIGHTS):
        loss = multi_task(table=None, weights=weights, dice_background=False)
        usual = DiceCrossEntropy("labels", torch.tensor(weights))
        torch.testing.assert_close(loss(NetworkOutput(logits), target), usual(NetworkOutput(logits), target))


@pytest.mark.parametrize("table", [None, BRATS])
def test_regions_have_binary_cross_entropy_and_dice(table: list[list[int]] | None) -> None:
    logits, target = logits_and_target("regions")
    loss = multi_task("regions", table, weights=WEIGHTS, cross_entropy_weight=0.7, dice_weight=1.3)
    usual = DiceCrossEntropy("regions", torch.tensor(WEIGHTS), 1.3, 0.7)
    torch.testing.assert_close(loss(NetworkOutput(logits), target), usual(NetworkOutput(logits), target))


def test_channel_weights_weigh_labels() -> None:
    logits, target = logits_and_target("labels")
    loss = multi_task(weights=WEIGHTS, category_weight=0, dice_weight=0)
    torch.testing.assert_close(
        loss(NetworkOutput(logits), target), functional.cross_entropy(logits, target.argmax(1), torch.tensor(WEIGHTS))
    )


def test_a_label_that_is_absent_and_not_predicted_costs_nothing() -> None:
    target = torch.zeros(1, 4, 4, 4, 4)
    target[:, 0] = 1
    logits = 60 * target
    assert multi_task()(NetworkOutput(logits), target) < 1e-3


@pytest.mark.parametrize("output", ["labels", "regions"])
@pytest.mark.parametrize("mining", ["none", "hard", "focal"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_all_is_finite_however_wrong(output: str, mining: str, scale: float, kind: torch.dtype) -> None:
    logits, target = logits_and_target(output)
    logits = (scale * logits).to(kind).requires_grad_()
    loss = multi_task(output, mining=mining, gamma=0.5)
    loss.progress = 0.5
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(NetworkOutput(logits), target)
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value)
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_an_impossible_category_still_learns() -> None:
    """Of probabilities, log(1e-40) is minus infinity in float32, and its gradient is lost."""
    target = torch.zeros(1, 4, 1, 1, 1)
    target[:, 3] = 1
    logits = torch.tensor([0.0, -300.0, -300.0, -300.0]).reshape(1, 4, 1, 1, 1).requires_grad_()
    value = multi_task(cross_entropy_weight=0, dice_weight=0)(NetworkOutput(logits), target)
    value.backward()
    assert value.item() == pytest.approx((300 + 3 * 300 - 2 * np.log(3) - np.log(2)) / 4, rel=1e-5)
    assert logits.grad is not None
    assert logits.grad[0, 0].item() == pytest.approx(1.0) and logits.grad[0, 3].item() < -0.4


def test_only_the_hardest_voxels_learn() -> None:
    logits, target = logits_and_target("labels")
    entropy, categories, _ = expected_terms(logits, target, BRATS)
    losses = np.sort((entropy + categories).ravel())[::-1]
    loss = multi_task(mining="hard", dice_weight=0, hard_share_start=0.8, hard_share_end=0.2)
    for progress, share in [(0.0, 0.8), (0.5, 0.5), (1.0, 0.2)]:
        loss.progress = progress
        x = logits.clone().requires_grad_()
        value = loss(NetworkOutput(x), target)
        value.backward()
        kept = round(share * losses.size)
        assert value.item() == pytest.approx(losses[:kept].mean(), rel=1e-5)
        assert x.grad is not None
        learning = x.grad.abs().sum(1).numpy() > 0
        assert learning.sum() == kept
        assert (entropy + categories)[learning].min() > (entropy + categories)[~learning].max()


def test_dice_sees_the_easy_voxels_too() -> None:
    logits, target = logits_and_target("labels")
    loss = multi_task(mining="hard", hard_share_start=0.01, hard_share_end=0.01)
    x = logits.clone().requires_grad_()
    loss(NetworkOutput(x), target).backward()
    assert x.grad is not None and (x.grad.abs().sum(1) > 0).all()


def test_the_whole_share_is_no_mining() -> None:
    logits, target = logits_and_target("labels")
    torch.testing.assert_close(
        multi_task(mining="hard")(NetworkOutput(logits), target), multi_task()(NetworkOutput(logits), target)
    )


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_terms_agree_with_monai(gamma: float) -> None:
    from monai.losses import FocalLoss

    logits, target = logits_and_target("regions")
    loss = multi_task("regions", mining="focal", gamma=gamma, dice_weight=0)
    torch.testing.assert_close(
        loss(NetworkOutput(logits), target), FocalLoss(gamma=gamma)(logits, target), rtol=1e-4, atol=1e-6
    )
    logits, target = logits_and_target("labels")
    loss = multi_task(mining="focal", gamma=gamma, dice_weight=0, category_weight=0)
    monai = FocalLoss(gamma=gamma, use_softmax=True, reduction="mean")(logits, target.float())
    torch.testing.assert_close(loss(NetworkOutput(logits), target), 4 * monai, rtol=1e-4, atol=1e-6)


def test_focal_categories() -> None:
    logits, target = logits_and_target("labels")
    members = np.array([[1, 0, 0, 0], *BRATS], np.float64)
    p = np.einsum("rc,bczyx->brzyx", members, softmax(logits))
    t = np.einsum("rc,bczyx->brzyx", members, target.numpy())
    p_t = np.where(t == 1, p, 1 - p)
    loss = multi_task(mining="focal", gamma=2.0, dice_weight=0, cross_entropy_weight=0)
    expected = (-((1 - p_t) ** 2) * np.log(p_t)).mean()
    assert loss(NetworkOutput(logits), target).item() == pytest.approx(expected, rel=1e-4)


def test_coarser_resolutions_have_averaged_targets() -> None:
    logits, target = logits_and_target("labels", (8, 4, 4))
    coarse = torch.randn(2, 4, 4, 2, 2, generator=torch.Generator().manual_seed(3))
    blocks = target.float().unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2).mean((5, 6, 7))
    entropy, categories, dice = expected_terms(coarse, blocks, BRATS)
    loss = multi_task(smooth=0.0)
    fine = loss(NetworkOutput(logits), target).item()
    both = loss(NetworkOutput(logits, (coarse,)), target).item()
    assert both == pytest.approx((fine + (entropy.mean() + categories.mean() + dice) / 2) / 1.5, rel=1e-5)


def test_nothing_is_learnt_by_the_loss_itself() -> None:
    assert list(multi_task().parameters()) == []


def test_the_batch_is_ranked_as_a_whole_and_one_voxel_is_always_left() -> None:
    losses = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]])
    mining = VoxelMining("hard", 1.0, 0.01)
    assert mining.average(losses, 1.0) == 40
    assert mining.average(losses, 7.0) == 40
    assert VoxelMining("hard", 0.5, 0.5).average(losses, 0.3) == 25
    assert VoxelMining("none").average(losses, 1.0) == losses.mean()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mining": "soft"}, "none, hard, focal, got 'soft'"),
        ({"hard_share_start": 0.2, "hard_share_end": 0.5}, "got 0.2 and 0.5"),
        ({"hard_share_end": 0.0}, "got 1.0 and 0.0"),
        ({"hard_share_start": 1.5}, "got 1.5"),
        ({"gamma": -1.0}, "gamma must not be negative, got -1.0"),
        ({"dice_weight": -1.0}, "must not be negative, got 1.0, 1.0 and -1.0"),
        ({"smooth": -2.0}, "smooth must not be negative, got -2.0"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        multi_task(**options)
