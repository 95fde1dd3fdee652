"""Optimisers by name. Weight decay is applied to convolution kernels only, not to biases and normalisations."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adam(
    network: nn.Module, learning_rate: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, ICLR 2015); its weight decay is an L2 penalty, added to the gradient."""
    groups, betas = _groups(network, weight_decay), (betas[0], betas[1])
    return torch.optim.Adam(groups, lr=learning_rate, betas=betas, fused=_can_be_fused(network))


def adamw(
    network: nn.Module, learning_rate: float, weight_decay: float = 1e-2, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019)."""
    groups, betas = _groups(network, weight_decay), (betas[0], betas[1])
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=_can_be_fused(network))


def sgd(
    network: nn.Module, learning_rate: float, weight_decay: float = 3e-5, momentum: float = 0.99, nesterov: bool = True
) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    groups, fused = _groups(network, weight_decay), _can_be_fused(network)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=nesterov, fused=fused)


def ranger21(
    network: nn.Module, learning_rate: float, weight_decay: float = 1e-4, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Ranger21 (Wright and Demeure, arXiv 2106.13731, 2021), of the library pytorch_optimizer.

    AdamW with adaptive gradient clipping (each row to 0.01 of its weights' norm), gradient centralisation and
    normalisation, positive-negative momentum (beta_0 = 0.9) over the largest second moment so far, stable weight decay,
    norm loss (factor 1e-4) and Lookahead (every 5 steps, half way). The warm-up and warm-down of the publication are the
    schedule ``explore_exploit``; the library's own are off. Against the authors' code (lessw2020/Ranger21):

    - Gradient normalisation (by the standard deviation of the tensor) and the softplus of the denominator (beta 50) are
      in both; the authors added them after publishing.
    - Norm loss and weight decay are two steps in both; only the weight decay is divided by the root of the mean second
      moment. Here they reach every tensor (the decay every kernel); there, by a slip, one tensor a group.
    - The momentum has the weights 1 + beta_0 and -beta_0 and the norm that belongs to them, as in Demeure's own port
      (flaxOptimizers); there, 2 and -1, with the norm for beta_2. The largest second moment is kept; there it is lost.
    - The mean second moment is (1 + sum) / count, there sum / count: no real network notices.

    To know when choosing it: it keeps five numbers a weight, AdamW two. Centralisation takes away the whole gradient of a
    kernel with a single weight per output channel (a convolution of size 1 that sees one channel), which stays as it
    began but for the decay. A tensor of one or two elements (the bias of a single region), which is not normalised, hardly
    moves, clipped to 0.01 of its size as it is.

    Raises:
        ValueError: if the rate or the weight decay is negative, or a beta is outside [0, 1).
    """
    from pytorch_optimizer import Ranger21  # 1.5 s: it loads a hundred optimisers

    if learning_rate < 0:
        raise ValueError(f"learning_rate must not be negative, got {learning_rate}")
    return Ranger21(
        _groups(network, weight_decay),
        num_iterations=1,  # of its own schedule, which is off
        num_warm_up_iterations=0,
        num_warm_down_iterations=0,
        disable_lr_scheduler=True,
        lr=learning_rate,
        betas=(betas[0], betas[1]),
        weight_decay=weight_decay,
    )


def _can_be_fused(network: nn.Module) -> bool:
    """Whether torch has kernels that do a whole step in one pass over the memory, which takes half of the time."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in network.parameters())


def _groups(network: nn.Module, weight_decay: float) -> Iterable[dict]:
    if weight_decay < 0:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
    kernels = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
