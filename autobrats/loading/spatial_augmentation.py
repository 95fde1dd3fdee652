"""Rotation, scaling and mirroring of patches, for any device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from batchgenerators.augmentations.utils import (
    create_matrix_rotation_x_3d,
    create_matrix_rotation_y_3d,
    create_matrix_rotation_z_3d,
)
from torch import Tensor
from torch.nn import functional

from autobrats.loading.separable import along_axes, sampling_matrix
from autobrats.plan import Augmentation, Size


@dataclass(frozen=True)
class SpatialDraw:
    """What was drawn for one sample.

    Attributes:
        matrix: (3, 3), maps a voxel's offset from the patch's centre, (z, y, x), to the offset in the volume; None for no
            change.
        mirrored: the axes (0 z, 1 y, 2 x) that are flipped.
    """

    matrix: np.ndarray | None
    mirrored: tuple[int, ...]

    def source_size(self, patch_size: Size) -> Size:
        """The size of the region of the volume that the transformed patch covers, (z, y, x)."""
        if self.matrix is None:
            return patch_size
        corners = np.array(np.meshgrid(*[(-p / 2, p / 2) for p in patch_size])).reshape(3, -1)
        reach = np.abs(self.matrix @ corners).max(1)
        grown = [2 * math.ceil(r) + 2 for r in reach]
        return tuple(g + (g - p) % 2 for g, p in zip(grown, patch_size, strict=True))


def draw_spatial(plan: Augmentation, spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> SpatialDraw:
    """Draw mirroring, rotation (about all three axes, in millimetres, so that anisotropic voxels do not shear) and
    scaling."""
    mirrored = tuple(axis for axis in plan.mirror_axes if rng.random() < 0.5)
    rotate, scale = rng.random() < plan.rotation_probability, rng.random() < plan.scaling_probability
    if not rotate and not scale:
        return SpatialDraw(None, mirrored)
    matrix = np.eye(3)
    if rotate:
        limit = math.radians(plan.rotation_degrees)
        for rotation in (create_matrix_rotation_x_3d, create_matrix_rotation_y_3d, create_matrix_rotation_z_3d):
            matrix = rotation(rng.uniform(-limit, limit), matrix)
        spacing = np.array(spacing_mm)
        matrix = matrix * spacing[None, :] / spacing[:, None]
    if scale:
        matrix = matrix / rng.uniform(*plan.scaling_range)
    return SpatialDraw(matrix, mirrored)


def transform_patch(images: Tensor, mask: Tensor, draw: SpatialDraw, patch_size: Size) -> tuple[Tensor, Tensor]:
    """Apply a draw to a source region centred on the patch.

    Args:
        images: (modality, z, y, x) of ``draw.source_size(patch_size)``; float32, or float16 as stored.
        mask: (z, y, x) label indices.
        patch_size: (z, y, x) of the result.

    Returns:
        The images, trilinear (in float32 where something is interpolated), and the mask, nearest neighbour; zero outside the
        source.
    """
    if draw.matrix is None:
        if draw.mirrored:
            images = images.flip([axis + 1 for axis in draw.mirrored])
            mask = mask.flip(draw.mirrored)
        return images, mask
    # Mirroring the patch afterwards is to turn round its axes before.
    matrix = draw.matrix * np.where(np.isin(range(3), draw.mirrored), -1.0, 1.0)[None, :]
    if np.count_nonzero(matrix) == np.count_nonzero(np.diag(matrix)):
        return _scale(images.float(), mask, np.diag(matrix), patch_size)
    return _rotate(images, mask, matrix, patch_size)


def _scale(images: Tensor, mask: Tensor, factors: np.ndarray, patch_size: Size) -> tuple[Tensor, Tensor]:
    """Each axis by itself, its offsets from the centre multiplied by a factor."""
    matrices = []
    for axis, (factor, side, source) in enumerate(zip(factors, patch_size, mask.shape, strict=True)):
        offsets = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
        positions = offsets * float(factor) + (source - 1) / 2
        matrices.append(sampling_matrix(positions, source, images))
        nearest = positions.round()
        outside = ((nearest < 0) | (nearest >= source)).to(mask.device)
        mask = mask.index_select(axis, nearest.clamp(0, source - 1).long().to(mask.device))
        mask.index_fill_(axis, outside.nonzero().flatten(), 0)
    return along_axes(images, matrices), mask


def _rotate(images: Tensor, mask: Tensor, matrix: np.ndarray, patch_size: Size) -> tuple[Tensor, Tensor]:
    grid = _grid(matrix, patch_size, images.shape[1:], images.device)
    # With the modalities of a voxel side by side, a CPU samples in half the time.
    by_voxel = images.device.type == "cpu"
    images = images[None].to(torch.float32, memory_format=torch.channels_last_3d if by_voxel else torch.preserve_format)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    nearest = functional.grid_sample(mask[None, None].float(), grid, mode="nearest", align_corners=False)
    return images, nearest[0, 0].to(mask.dtype)


def _grid(matrix: np.ndarray, patch_size: Size, source_size: torch.Size, device: torch.device) -> Tensor:
    """The sampling grid of grid_sample, (1, z, y, x, 3) in its (x, y, z) order and -1..1 units."""
    patch, source = np.array(patch_size, float), np.array(source_size, float)
    normalised = matrix * patch[None, :] / source[:, None]
    theta = np.concatenate([normalised[::-1, ::-1], np.zeros((3, 1))], 1)
    theta_tensor = torch.tensor(theta.copy(), dtype=torch.float32, device=device)[None]
    return functional.affine_grid(theta_tensor, [1, 1, *patch_size], align_corners=False)
