"""A brain of generated shape: grey and white matter, ventricles, sulci, vessels and the spots of age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobrats.phantoms.noise import Grid, soft

_GREY_MATTER_MM = 3.2
_SULCUS_MM = 0.7

# Half axes and centres along (z, y, x) in mm, right side; the left is its mirror image.
_VENTRICLES = [
    ((8, -22, 8), (7, 17, 4.5)),
    ((14, 2, 9), (6, 22, 5.5)),
    ((6, 30, 18), (8, 15, 6)),
    ((-14, 14, 30), (4, 14, 4)),
]
_THIRD_VENTRICLE = ((-2, 2, 0), (9, 13, 1.8))
_DEEP_GREY = [((2, 10, 10), (8, 13, 7)), ((2, -10, 23), (10, 17, 6)), ((10, -20, 14), (9, 9, 4))]


@dataclass
class Anatomy:
    """Soft maps of the tissues, each float32 in 0..1 of shape (z, y, x).

    Attributes:
        brain: bool; everything outside is what skull stripping removed.
        grey, white, fluid: parts of each voxel, together 1 inside the brain.
        vessels: veins and dura that take up contrast agent, but are no tumour.
        white_matter_lesions: caps and spots that are bright on FLAIR, but are no tumour.
        depth_mm: distance from the brain's surface, negative outside.
        left_mm: position left of the midline after the brain's own deformation.
    """

    brain: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    fluid: np.ndarray
    vessels: np.ndarray
    white_matter_lesions: np.ndarray
    depth_mm: np.ndarray
    left_mm: np.ndarray


def generate_anatomy(
    rng: np.random.Generator,
    grid: Grid,
    *,
    size: float,
    ventricle_size: float,
    lesion_load: float,
    displacement_mm: np.ndarray,
) -> Anatomy:
    """A brain on ``grid``.

    Args:
        size: scale of the whole head; 1 is 125 x 160 x 115 mm.
        ventricle_size: scale of the ventricles, which age and atrophy widen.
        lesion_load: 0..1, how many white matter lesions there are.
        displacement_mm: shape (3, z, y, x), where a mass has pushed the tissue.
    """
    warp = np.stack([4.0 * grid.smooth_noise(rng, 55) for _ in range(3)])
    warp += np.stack([1.2 * grid.smooth_noise(rng, 22) for _ in range(3)])
    position = (grid.coordinates_mm + warp) / size
    inner = position - displacement_mm / size
    edge_mm = float(np.mean(grid.spacing_mm))

    # The skull keeps the surface smooth; what lies inside varies more.
    depth_mm = -_surface_level((grid.coordinates_mm + 0.3 * warp) / size)
    folds_mm = _folds(rng, grid, inner)
    midline_mm = np.abs(inner[2]) + np.clip(30 - depth_mm, -40, 0) * -0.4
    sulci_mm = folds_mm + 0.45 * np.clip(depth_mm - 14, 0, None)
    cortex_mm = np.minimum(np.minimum(np.clip(depth_mm, 0, None), sulci_mm), midline_mm)

    ventricles_mm = _ventricle_level(inner, ventricle_size)
    deep_grey_mm = _union(inner, [*_DEEP_GREY, *_mirror(_DEEP_GREY)])
    fluid = np.maximum(soft(cortex_mm - _SULCUS_MM, edge_mm), soft(ventricles_mm, edge_mm))
    grey = np.maximum(soft(cortex_mm - _GREY_MATTER_MM, edge_mm), 0.75 * soft(deep_grey_mm, edge_mm))
    brain = depth_mm > -0.5
    grey = grey * (1 - fluid)
    white = 1 - grey - fluid
    return Anatomy(
        brain=brain,
        grey=grey,
        white=white,
        fluid=fluid,
        vessels=_vessels(rng, grid, inner, depth_mm, folds_mm),
        white_matter_lesions=_white_matter_lesions(rng, grid, white, ventricles_mm, lesion_load),
        depth_mm=depth_mm,
        left_mm=inner[2],
    )


def _surface_level(position: np.ndarray) -> np.ndarray:
    """Signed distance in mm (about) of the brain's outer surface: an egg, flat below, with a fissure on top."""
    z, y, x = position
    half_z = np.where(z > 0, 58.0, 46.0)
    half_x = 62 - 0.09 * np.clip(-y, 0, None) - 0.0006 * np.clip(-y, 0, None) ** 2
    radius = (np.abs(z / half_z) ** 2.4 + np.abs(y / 80) ** 2.2 + np.abs(x / half_x) ** 2.2) ** (1 / 2.25)
    level = (radius - 1) * 62
    fissure = np.exp(-((x / 2.5) ** 2)) * np.clip((radius - 0.8) / 0.2, 0, 1) * (z > -25)
    return level + 5 * fissure


def _folds(rng: np.random.Generator, grid: Grid, inner: np.ndarray) -> np.ndarray:
    """Distance in mm (about) to the nearest fold: wide in the cerebrum, narrow in the cerebellum."""
    distance = {}
    for wavelength in (24.0, 11.0):
        field = np.abs(grid.folded_noise(rng, wavelength))
        # The field's mean slope on its zeros, sqrt(1/3) 2 pi / wavelength along the normal, turns values into mm.
        distance[wavelength] = field * wavelength / (2 * np.pi) * 1.25
    cerebellum = soft(_union(inner, [((-34, 40, 0), (20, 30, 42))]), 4)
    return (distance[24.0] * (1 - cerebellum) + distance[11.0] * cerebellum).astype(np.float32)


def _ventricle_level(inner: np.ndarray, ventricle_size: float) -> np.ndarray:
    both = [*_VENTRICLES, *_mirror(_VENTRICLES), _THIRD_VENTRICLE]
    return _union(inner, [(centre, tuple(ventricle_size * axis for axis in axes)) for centre, axes in both])


def _mirror(ellipsoids: list) -> list:
    return [((z, y, -x), axes) for (z, y, x), axes in ellipsoids]


def _union(position: np.ndarray, ellipsoids: list) -> np.ndarray:
    """Signed distance in mm (about) of the union of ellipsoids given as (centre, half axes)."""
    level = np.full(position.shape[1:], np.inf, np.float32)
    for centre, axes in ellipsoids:
        radius = np.sqrt(sum(((position[i] - centre[i]) / axes[i]) ** 2 for i in range(3)))
        np.minimum(level, (radius - 1) * min(axes), out=level)
    return level


def _vessels(
    rng: np.random.Generator, grid: Grid, inner: np.ndarray, depth_mm: np.ndarray, folds_mm: np.ndarray
) -> np.ndarray:
    """Cortical veins in the folds, the great veins of the midline, and patches of dura on the surface."""
    edge_mm = float(np.mean(grid.spacing_mm))
    course = np.abs(grid.folded_noise(rng, 30))
    veins = soft(np.maximum(folds_mm - 0.9, (course - 0.16) * 6), edge_mm) * soft(np.abs(depth_mm - 8) - 9, 3)
    # A line where the zeros of two fields meet runs through the white matter as a vein does.
    second = np.abs(grid.folded_noise(rng, 30))
    deep_veins = soft((np.hypot(course, second) - 0.17) * 7, edge_mm) * soft(12 - depth_mm, 4)
    sinus = soft(np.hypot(inner[2], np.clip(depth_mm, 0, None) - 3) - 2.6, edge_mm) * soft(-5 - inner[1] * 0.4, 4)
    dura = soft(depth_mm - 2.2, edge_mm) * soft((1.1 - grid.smooth_noise(rng, 24)) * 6, 3)
    plexus = soft(_union(inner, [((4, 26, 17), (3, 5, 2.2)), ((4, 26, -17), (3, 5, 2.2))]), edge_mm)
    return np.max([0.9 * veins, 0.8 * deep_veins, sinus, 0.9 * dura, 0.8 * plexus], axis=0).astype(np.float32)


def _white_matter_lesions(
    rng: np.random.Generator, grid: Grid, white: np.ndarray, ventricles_mm: np.ndarray, load: float
) -> np.ndarray:
    """Caps around the ventricles and scattered spots of a few millimetres."""
    ragged = 1.5 * grid.smooth_noise(rng, 9)
    caps = soft(ventricles_mm - 7 * load + ragged, 2.5) * soft(1.2 - 2.0 * load + grid.smooth_noise(rng, 28), 1)
    spots = soft((2.9 - 0.8 * load - grid.smooth_noise(rng, 9)) * 4, 2)
    return (np.maximum(caps, spots) * white).astype(np.float32)
