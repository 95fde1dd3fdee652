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
    """Group normalisation in layers that OpenVINO computes exactly: as instance normalisation, or as means of means."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        if x.dim() == 5 and math.prod(x.shape[2:]) > LARGE:
            x = x - self._mean(x)
            scale = torch.rsqrt(self._mean(x * x) + norm.eps)
            if not norm.affine:
                return x * scale
            return x * (scale * norm.weight.reshape(shape)) + norm.bias.reshape(shape)
        if norm.num_groups == norm.num_channels:
            return nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        grouped = x.reshape(x.shape[0], norm.num_groups, -1)
        x = nn.functional.instance_norm(grouped, eps=norm.eps).reshape(x.shape)
        if not norm.affine:
            return x
        return x * norm.weight.reshape(shape) + norm.bias.reshape(shape)

    def _mean(self, x: Tensor) -> Tensor:
        """Of every group: the mean of the means of small blocks, whose sums float32 holds; (batch, channel, 1, 1, 1)."""
        kernel = [next(side for side in _POOLED if size % side == 0) for size in x.shape[2:]]
        blocks = nn.functional.avg_pool3d(x, kernel, kernel)
        if self.norm.num_groups == self.norm.num_channels:
            return blocks.mean((2, 3, 4), keepdim=True)
        means = blocks.reshape(x.shape[0], self.norm.num_groups, -1).mean(2)
        return means.repeat_interleave(self.norm.num_channels // self.norm.num_groups, 1)[:, :, None, None, None]


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
