"""The loss of networks with a classification branch against NumPy in double precision and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autobrats.losses.classification_branch_loss import ClassificationBranchLoss
from autobrats.networks.output import NetworkOutput

AXES = {"axial": 2, "coronal": 3, "sagittal": 4}
WEIGHTS = [0.5, 1.0, 3.0]


def example(slice_axis: str = "axial") -> tuple[NetworkOutput, Tensor]:
    """Logits, those of the slices, and regions that some slices along every axis do not show."""
    generator = torch.Generator().manual_seed(1)
    target = (torch.rand(2, 3, 4, 6, 8, generator=generator) > 0.6).to(torch.uint8)
    target[:, :, 2:, :3] = target[1, 2, 1:] = 0
    target[:, 1, 0] = target[:, 1, :, :4] = target[0, 1, ..., 5:] = 0
    logits = 2 * torch.randn(2, 3, 4, 6, 8, generator=generator)
    slices = 2 * torch.randn(2, 3, target.shape[AXES[slice_axis]], generator=generator)
    return NetworkOutput(logits, (), slices), target


def focal(p: np.ndarray, t: np.ndarray, gamma: float, alpha: float | None) -> np.ndarray:
    """Equation 2, element by element: p_t is p where t is 1, and 1 - p elsewhere; alpha_t likewise."""
    p_t = np.where(t == 1, p, 1 - p)
    alpha_t = 1.0 if alpha is None else np.where(t == 1, alpha, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * np.log(p_t)


def expected(output: NetworkOutput, target: Tensor, axis: int, gamma=2.0, alpha=None, epsilon=1e-5, weights=(1, 1, 1)):
    """The terms of equation 3 in float64: those of the voxels, and those of the slices."""
    p, t = 1 / (1 + np.exp(-output.logits.numpy().astype(np.float64))), target.numpy().astype(np.float64)
    w = np.array(weights, np.float64)
    dice = 1 - 2 * (p * t).sum((2, 3, 4)) / ((p**2).sum((2, 3, 4)) + (t**2).sum((2, 3, 4)) + epsilon)
    voxels = (focal(p, t, gamma, alpha).mean((0, 2, 3, 4)) * w).sum() / w.sum() + (dice.mean(0) * w).sum() / w.sum()
    q = 1 / (1 + np.exp(-output.slices.numpy().astype(np.float64)))
    shown = t.any(tuple({2, 3, 4} - {axis})).astype(np.float64)
    assert 0.1 < shown.mean() < 0.9 and len(np.unique(shown.mean((0, 2)))) > 1
    entropy = -(shown * np.log(q) + (1 - shown) * np.log(1 - q))
    return voxels, ((focal(q, shown, gamma, alpha) + entropy).mean((0, 2)) * w).sum() / w.sum()


@pytest.mark.parametrize("slice_axis", AXES)
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (0.5, 0.25), (3.0, 0.9), (0.0, None)])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], WEIGHTS])
def test_the_formulas(slice_axis: str, gamma: float, alpha: float | None, weights: list[float]) -> None:
    output, target = example(slice_axis)
    loss = ClassificationBranchLoss("regions", torch.tensor(weights), gamma, alpha, 0.1, 0.7, slice_axis)
    voxels, slices = expected(output, target, AXES[slice_axis], gamma, alpha, 0.1, weights)
    assert loss(output, target).item() == pytest.approx(voxels + 0.7 * slices, rel=1e-5)


def test_all_terms_weigh_the_same_by_default() -> None:
    output, target = example()
    loss = ClassificationBranchLoss("regions", torch.ones(3))
    assert loss(output, target).item() == pytest.approx(sum(expected(output, target, 2)), rel=1e-5)


def test_without_a_branch_its_terms_are_left_out() -> None:
    output, target = example()
    voxels, _ = expected(output, target, 2)
    loss = ClassificationBranchLoss("regions", torch.ones(3))
    assert loss(NetworkOutput(output.logits), target).item() == pytest.approx(voxels, rel=1e-5)
    silent = ClassificationBranchLoss("regions", torch.ones(3), classification_weight=0.0)
    assert silent(output, target).item() == pytest.approx(voxels, rel=1e-5)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (1.5, 0.25)])
def test_focal_and_dice_agree_with_monai(gamma: float, alpha: float | None) -> None:
    from monai.losses import DiceLoss, FocalLoss

    output, target = example()
    monai_focal = FocalLoss(gamma=gamma, alpha=alpha)
    dice = DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=0.0, smooth_dr=1e-5)(output.logits, target.float())
    shown = target.amax((3, 4)).float()
    of_slices = monai_focal(output.slices, shown) + functional.binary_cross_entropy_with_logits(output.slices, shown)
    loss = ClassificationBranchLoss("regions", torch.ones(3), gamma, alpha)
    torch.testing.assert_close(loss(output, target), monai_focal(output.logits, target.float()) + dice + of_slices)


def test_a_slice_shows_a_region_of_one_voxel() -> None:
    target = torch.zeros(1, 2, 3, 4, 5, dtype=torch.uint8)
    target[0, 0, 1, 2, 4] = 1
    logits = torch.zeros(1, 2, 3, 4, 5)
    for slice_axis, shown in (("axial", [0, 1, 0]), ("coronal", [0, 0, 1, 0]), ("sagittal", [0, 0, 0, 0, 1])):
        loss = ClassificationBranchLoss("regions", torch.ones(2), slice_axis=slice_axis)
        right = 80 * (torch.tensor([[shown, [0] * len(shown)]]).float() - 0.5)
        alone = loss(NetworkOutput(logits), target)
        assert loss(NetworkOutput(logits, (), right), target) - alone < 1e-6
        assert loss(NetworkOutput(logits, (), -right), target) - alone > 10


def test_epsilon_is_in_the_denominator_alone() -> None:
    logits, target = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1)
    loss = ClassificationBranchLoss("regions", torch.ones(1), epsilon=0.75)
    dice = 1 - 2 * 0.5 / (0.25 + 1 + 0.75)
    assert loss(NetworkOutput(logits), target).item() == pytest.approx(dice + 0.25 * np.log(2))


def test_gamma_spares_what_is_right_already() -> None:
    target = torch.ones(1, 1, 2, 2, 2)
    easy = NetworkOutput(torch.full((1, 1, 2, 2, 2), 3.0))
    losses = [
        ClassificationBranchLoss("regions", torch.ones(1), gamma=gamma)(easy, target) for gamma in (0.0, 2.0, 5.0)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_coarser_resolutions_weigh_a_half_and_the_slices_once() -> None:
    output, target = example()
    coarse = torch.randn(2, 3, 2, 3, 4, generator=torch.Generator().manual_seed(2))
    loss = ClassificationBranchLoss("regions", torch.ones(3))
    pooled = target.double().reshape(2, 3, 2, 2, 3, 2, 4, 2).mean((3, 5, 7)).numpy()
    p = torch.sigmoid(coarse).double().numpy()
    soft = -pooled * (1 - p) ** 2 * np.log(p) - (1 - pooled) * p**2 * np.log(1 - p)
    sizes = (p**2).sum((2, 3, 4)) + (pooled**2).sum((2, 3, 4)) + 1e-5
    of_coarse = soft.mean() + (1 - 2 * (p * pooled).sum((2, 3, 4)) / sizes).mean()
    voxels, slices = expected(output, target, 2)
    total = loss(NetworkOutput(output.logits, (coarse,), output.slices), target)
    assert total.item() == pytest.approx((voxels + of_coarse / 2) / 1.5 + slices, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("filled", [0, 1])
def test_extremes_stay_finite(scale: float, gamma: float, filled: int) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = (scale * torch.randn(1, 3, 4, 4, 4, generator=generator)).requires_grad_()
    slices = (scale * torch.randn(1, 3, 4, generator=generator)).requires_grad_()
    target = torch.full((1, 3, 4, 4, 4), filled, dtype=torch.uint8)
    loss = ClassificationBranchLoss("regions", torch.ones(3), gamma)(NetworkOutput(logits, (), slices), target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all() and torch.isfinite(slices.grad).all()


def test_the_truth_costs_nothing_and_its_opposite_much() -> None:
    _, target = example()
    loss = ClassificationBranchLoss("regions", torch.ones(3))
    logits, slices = 80 * (target.float() - 0.5), 80 * (target.amax((3, 4)).float() - 0.5)
    assert loss(NetworkOutput(logits, (), slices), target) < 1e-4
    assert loss(NetworkOutput(-logits, (), -slices), target) > 50


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single(kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    target = (torch.rand(1, 3, 48, 48, 48, generator=generator) > 0.5).to(torch.uint8)
    half = torch.randn(1, 3, 48, 48, 48, generator=generator).to(kind)  # 110,592 voxels: more than float16 can count
    slices = torch.randn(1, 3, 48, generator=generator).to(kind)
    loss = ClassificationBranchLoss("regions", torch.ones(3))
    result = loss(NetworkOutput(half, (), slices), target)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, loss(NetworkOutput(half.float(), (), slices.float()), target))


def test_slices_along_another_axis_are_refused() -> None:
    output, target = example("axial")
    loss = ClassificationBranchLoss("regions", torch.ones(3), slice_axis="coronal")
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), the target's \(2, 3, 6\).* same slice_axis"):
        loss(output, target)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"output": "labels"}, "needs the output 'regions', not 'labels'"),
        ({"gamma": -1.0}, r"gamma .* -1\.0"),
        ({"alpha": 1.5}, r"alpha .* 1\.5"),
        ({"epsilon": 0.0}, r"epsilon .* 0\.0"),
        ({"classification_weight": -2.0}, r"classification_weight .* -2\.0"),
        ({"slice_axis": "z"}, "axial, coronal, sagittal, not 'z'"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ClassificationBranchLoss(**{"output": "regions", "channel_weights": torch.ones(3), **options})
