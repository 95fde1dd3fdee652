"""Changes of intensity, for any device: each acts on one sample, images of shape (modality, z, y, x).

The family of transforms and their usual ranges are those of nnU-Net's training (Isensee et al., 2021).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autobrats.plan import Augmentation


def augment_intensities(images: Tensor, plan: Augmentation, rng: np.random.Generator) -> Tensor:
    """Noise, blur, brightness, shift, contrast, low resolution, gamma and modality dropout as the plan's probabilities say.

    Noise to gamma are drawn for every modality by itself, because scanners change them by sequence. Voxels that are zero
    in every modality are background and stay zero, and so does a modality that the study lacks. Dropout never takes the
    last modality that is there.
    """
    background = (images == 0).all(0)
    rows = list(images.unbind(0))
    present = [index for index, image in enumerate(rows) if image.any()]
    for index in present:
        rows[index] = _augment_modality(rows[index], plan, rng)
    images = torch.stack(rows)
    if background.any():
        images = images.masked_fill(background, 0)
    if len(present) > 1 and rng.random() < plan.modality_dropout_probability:
        images[present[int(rng.integers(len(present)))]] = 0
    return images


def _augment_modality(image: Tensor, plan: Augmentation, rng: np.random.Generator) -> Tensor:
    if rng.random() < plan.noise_probability:
        image = image + float(rng.uniform(*plan.noise_std)) * _gaussian_noise(image, rng)
    if rng.random() < plan.blur_probability:
        image = gaussian_blur(image, float(rng.uniform(*plan.blur_sigma_voxels)))
    if rng.random() < plan.brightness_probability:
        image = image * float(rng.uniform(*plan.brightness_range))
    if rng.random() < plan.shift_probability:
        image = image + float(rng.uniform(*plan.shift_range))
    if rng.random() < plan.contrast_probability:
        image = change_contrast(image, float(rng.uniform(*plan.contrast_range)))
    if rng.random() < plan.low_resolution_probability:
        image = lower_resolution(image, float(rng.uniform(*plan.low_resolution_zoom)))
    if rng.random() < plan.gamma_probability:
        image = change_gamma(image, float(rng.uniform(*plan.gamma_range)))
    return image


def _gaussian_noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    generator = torch.Generator(image.device).manual_seed(int(rng.integers(2**62)))
    return torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)


def gaussian_blur(image: Tensor, sigma_voxels: float) -> Tensor:
    """Gaussian blur of (z, y, x), truncated at three sigma; borders are repeated."""
    radius = max(1, math.ceil(3 * sigma_voxels))
    steps = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma_voxels**2))
    kernel = kernel / kernel.sum()
    blurred = image[None, None]
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0] * 6
        shape[axis + 2] = len(kernel)
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
        blurred = functional.conv3d(functional.pad(blurred, padding, mode="replicate"), kernel.reshape(shape))
    return blurred[0, 0]


def change_contrast(image: Tensor, factor: float) -> Tensor:
    """Distances from the mean are scaled; the range of intensities is kept."""
    low, high = torch.aminmax(image)
    mean = image.mean()
    return ((image - mean) * factor + mean).clamp(low, high)


def lower_resolution(image: Tensor, zoom: float) -> Tensor:
    """Sampled down to ``zoom`` of the resolution (nearest), and up again (trilinear), as a coarser scan would look."""
    size = [max(1, round(side * zoom)) for side in image.shape]
    small = functional.interpolate(image[None, None], size=size, mode="nearest-exact")
    return functional.interpolate(small, size=image.shape, mode="trilinear")[0, 0]


def change_gamma(image: Tensor, gamma: float) -> Tensor:
    """A power law on the intensities mapped to 0..1; mean and standard deviation are kept."""
    low, high = torch.aminmax(image)
    span = (high - low).clamp(min=1e-6)
    changed = ((image - low) / span) ** gamma
    spread = changed.std().clamp(min=1e-6)
    return (changed - changed.mean()) / spread * image.std() + image.mean()
