"""From tissues to images: the signal of each tissue in T1, T1c, T2 and FLAIR, the scanner's bias field and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autobrats.phantoms.anatomy import Anatomy
from autobrats.phantoms.noise import Grid
from autobrats.phantoms.tumour import ED, ET, NCR

MODALITIES = ("t1", "t1ce", "t2", "flair")

# Relative to white matter on T1; read off the ratios of tissue means in clinical glioma studies. One row a tissue,
# one column a modality.
_SIGNAL = {
    "white": (1.00, 0.98, 0.52, 0.85),
    "grey": (0.80, 0.84, 0.66, 1.02),
    "fluid": (0.42, 0.44, 2.10, 0.30),
    "oedema": (0.84, 0.86, 1.15, 1.70),
    "necrosis": (0.70, 0.62, 1.45, 1.50),
    "solid_core": (0.78, 0.78, 1.40, 1.75),
    "enhancing": (0.86, 2.10, 1.02, 1.55),
    "vessel": (0.75, 2.90, 0.45, 0.75),
    "white_matter_lesion": (0.95, 0.94, 0.78, 1.60),
    "blood": (1.55, 1.60, 0.90, 1.50),
    "flow": (0.42, 0.44, 2.10, 1.35),
}


def render(
    rng: np.random.Generator, grid: Grid, anatomy: Anatomy, labels: np.ndarray, *, bleeds: bool
) -> dict[str, np.ndarray]:
    """The four images of a study by modality: int16, shape (z, y, x), 0 outside the brain.

    Args:
        labels: the tumour's labels, shape (z, y, x).
        bleeds: whether the tumour's core holds blood.
    """
    table = {name: np.array(row) * np.exp(rng.normal(0, 0.05, 4)) for name, row in _SIGNAL.items()}
    parts = _parts(rng, grid, anatomy, labels, bleeds)
    shared_texture = grid.smooth_noise(rng, 13)
    lesion = ndimage.gaussian_filter((labels > 0).astype(np.float32), 0.7)
    images = {}
    for column, modality in enumerate(MODALITIES):
        signal = np.zeros(grid.shape, np.float32)
        for name, part in parts.items():
            signal += part * np.float32(table[name][column])
        # Tumours are uneven where brain is even; the pattern is partly common to the modalities.
        uneven = 0.8 * shared_texture + 0.6 * grid.smooth_noise(rng, 9)
        signal *= 1 + (0.02 + 0.10 * lesion) * uneven
        signal = ndimage.gaussian_filter(signal, 0.45)
        signal *= np.exp(0.10 * grid.smooth_noise(rng, 110) + 0.03 * grid.smooth_noise(rng, 45))
        sigma = rng.uniform(0.012, 0.032) * (1 if modality != "t2" else 0.6)
        real, imaginary = rng.standard_normal((2, *grid.shape), dtype=np.float32) * np.float32(sigma)
        signal = np.hypot(signal + real, imaginary)
        scale = np.exp(rng.uniform(np.log(250), np.log(2500)))
        images[modality] = np.where(anatomy.brain, np.clip(np.rint(signal * scale), 1, 32767), 0).astype(np.int16)
    return images


def _parts(
    rng: np.random.Generator, grid: Grid, anatomy: Anatomy, labels: np.ndarray, bleeds: bool
) -> dict[str, np.ndarray]:
    """The part of every voxel that each tissue fills; they add up to 1."""
    parts = {"white": anatomy.white, "grey": anatomy.grey, "fluid": anatomy.fluid}
    parts = {name: part.astype(np.float32) for name, part in parts.items()}
    _replace(parts, "white_matter_lesion", anatomy.white_matter_lesions)
    _replace(parts, "flow", anatomy.fluid * np.clip(grid.smooth_noise(rng, 14) - 1.4, 0, 1))
    _replace(parts, "vessel", anatomy.vessels * (labels == 0))
    enhances = bool((labels == ET).any())
    soft_label = {label: ndimage.gaussian_filter((labels == label).astype(np.float32), 0.45) for label in (ED, NCR, ET)}
    # Oedema and infiltrated tissue fade: brain shines through it, more so towards its edge and where it is thin.
    fade = np.clip(0.82 + 0.16 * grid.smooth_noise(rng, 16), 0.55, 1)
    _replace(parts, "oedema", soft_label[ED] * fade)
    _replace(parts, "necrosis" if enhances else "solid_core", soft_label[NCR])
    # Enhancement is patchy, and the rim of some tumours is faint.
    strength = np.clip(rng.uniform(0.75, 1.0) + 0.18 * grid.smooth_noise(rng, 9), 0.45, 1.3)
    _replace(parts, "enhancing", soft_label[ET] * strength)
    if bleeds:
        clot = np.clip(2 * (grid.smooth_noise(rng, 12) - 0.5), 0, 1)
        _replace(parts, "blood", soft_label[NCR] * clot)
    # A cavernoma or an old bleed far from the tumour: bright on T1 before and after the agent, so it is no enhancement.
    if rng.random() < 0.4:
        place = grid.smooth_noise(rng, 9) - 8.0 * (labels > 0) - 8.0 * (anatomy.depth_mm < 8)
        _replace(parts, "blood", np.clip(2 * (place - place.max() + 0.9), 0, 1))
    return parts


def _replace(parts: dict[str, np.ndarray], name: str, share: np.ndarray) -> None:
    """Let ``share`` of each voxel become the tissue ``name``, at the cost of all others alike."""
    for part in parts.values():
        part *= 1 - share
    parts[name] = parts[name] + share if name in parts else share.astype(np.float32)
