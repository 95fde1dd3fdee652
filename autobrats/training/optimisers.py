"""Optimisers by name. Weight decay is applied to convolution kernels only, not to biases and normalisations."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adamw(
    network: nn.Module, learning_rate: float, weight_decay: float = 1e-2, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019)."""
    return torch.optim.AdamW(_groups(network, weight_decay), lr=learning_rate, betas=(betas[0], betas[1]))


def sgd(
    network: nn.Module, learning_rate: float, weight_decay: float = 3e-5, momentum: float = 0.99, nesterov: bool = True
) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(_groups(network, weight_decay), lr=learning_rate, momentum=momentum, nesterov=nesterov)


def _groups(network: nn.Module, weight_decay: float) -> Iterable[dict]:
    kernels = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
