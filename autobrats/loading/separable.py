"""Linear maps of volumes that act on each axis by itself: three matrix products, on any device.

Blurring, resampling and scaling are such maps. As products of an axis's matrix with the volume they take a tenth of the time
of convolutions and of sampling on one CPU core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def along_axes(images: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply a matrix (new side, side) to each of the last three axes of a tensor (..., z, y, x)."""
    along_z, along_y, along_x = matrices
    images = torch.matmul(along_z, images.flatten(-2)).unflatten(-1, images.shape[-2:])
    return torch.matmul(torch.matmul(along_y, images), along_x.T)


def blur_matrix(side: int, sigma_voxels: float, like: Tensor) -> Tensor:
    """Gaussian blur of an axis, (side, side), truncated at three sigma; borders are repeated."""
    radius = max(1, math.ceil(3 * sigma_voxels))
    steps = torch.arange(-radius, radius + 1, device=like.device)
    kernel = torch.exp(-(steps.to(like.dtype) ** 2) / (2 * sigma_voxels**2))
    sources = (torch.arange(side, device=like.device)[:, None] + steps).clamp(0, side - 1)
    return like.new_zeros(side, side).scatter_add_(1, sources, (kernel / kernel.sum()).expand(side, -1))


def linear_matrix(side: int, new_side: int, like: Tensor) -> Tensor:
    """Linear interpolation of an axis to another size, (new_side, side), as torch's ``interpolate`` does it."""
    identity = torch.eye(side, device=like.device, dtype=like.dtype)
    return functional.interpolate(identity[None], size=new_side, mode="linear")[0].T


def sampling_matrix(positions: Tensor, side: int, like: Tensor) -> Tensor:
    """Linear interpolation at positions in voxels, (len(positions), side); zero outside of the axis."""
    below = positions.floor()
    share = positions - below
    matrix = like.new_zeros(len(positions), side + 2)
    for voxel, weight in ((below, 1 - share), (below + 1, share)):
        column = voxel.clamp(-1, side).long() + 1
        matrix.scatter_add_(1, column[:, None].to(like.device), weight[:, None].to(like))
    return matrix[:, 1:-1]
