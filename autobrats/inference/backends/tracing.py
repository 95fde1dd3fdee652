"""A network as other libraries can read it: logits alone, in layers that they compute rightly."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Logits(nn.Module):
    """A network that gives nothing but its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


LARGE = 80**3
"""Voxels above which OpenVINO's own normalisation, which adds them up in float32 one after the other, is not exact: at 128^3
the variance is too small by 3e-4, and logits are off by 2e-3."""
_POOLED = (8, 4, 2, 1)


class InstanceNorm(nn.Module):
    """Group normalisation in 3D, in layers that OpenVINO computes exactly: as instance normalisation, or as means of means.

    Nothing is reshaped: OpenVINO would have to bring the voxels into another order before and behind it.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.of_groups: Tensor | None = None
        if norm.num_groups < norm.num_channels:
            share = norm.num_groups / norm.num_channels
            group = torch.arange(norm.num_channels) // (norm.num_channels // norm.num_groups)
            self.of_groups = share * (group[:, None] == group).float()[:, :, None, None, None]

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.of_groups is None and 1 < math.prod(x.shape[2:]) <= LARGE:
            return nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        mean = self._mean(x)
        centred = x - mean
        scale = torch.rsqrt(self._mean(centred * centred) + norm.eps)
        if not norm.affine:
            return centred * scale
        scale = scale * norm.weight.reshape(1, -1, 1, 1, 1)
        return x * scale + (norm.bias.reshape(1, -1, 1, 1, 1) - mean * scale)

    def _mean(self, x: Tensor) -> Tensor:
        """Of every group: the mean of the means of small blocks, whose sums float32 holds; (batch, channel, 1, 1, 1)."""
        kernel = [next(side for side in _POOLED if size % side == 0) for size in x.shape[2:]]
        means = nn.functional.avg_pool3d(x, kernel, kernel).mean((2, 3, 4), keepdim=True)
        return means if self.of_groups is None else nn.functional.conv3d(means, self.of_groups)


def rewritten_for_openvino(network: nn.Module) -> nn.Module:
    """A copy of the network in the layers that OpenVINO is given; every rewriting of layers belongs here.

    A change of what it does needs a new :data:`~autobrats.inference.backends.kept_models.CONVERSION`.
    """
    return _without_group_norm(copy.deepcopy(network))


@contextmanager
def ready_for_tracing() -> Iterator[None]:
    """Without gradients, outside inference mode, and silent about sizes that become constants."""
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def _without_group_norm(module: nn.Module) -> nn.Module:
    """The module with its group normalisations rewritten: OpenVINO 2026.4 crashes on 3D ones of some sizes."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, InstanceNorm(child))
        else:
            _without_group_norm(child)
    return module
