"""Gliomas of generated shape: oedema, an enhancing rim and a dead core, and what sets each kind apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autobrats.phantoms.noise import Grid

NCR, ED, ET = 1, 2, 4
"""The integers of BraTS 2017 to 2022: necrotic and non-enhancing core, oedema, enhancing tumour."""


@dataclass(frozen=True)
class Focus:
    """One growth of a tumour.

    Attributes:
        centre_mm: along (z, y, x) from the middle of the head.
        radius_mm: of the whole lesion with its oedema.
        core_fraction: radius of the core as a part of ``radius_mm``.
        rim_mm: thickness of the enhancing rim; 0 for a tumour that does not enhance.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    core_fraction: float
    rim_mm: float


@dataclass(frozen=True)
class Tumour:
    """What grows, and how it bleeds.

    Attributes:
        grade: ``HGG`` or ``LGG``.
        foci: one, or several for a multifocal tumour.
        bleeds: whether its core holds blood, bright on T1 with and without contrast agent.
    """

    grade: str
    foci: list[Focus] = field(default_factory=list)
    bleeds: bool = False


def generate_tumour(rng: np.random.Generator, size: float) -> Tumour:
    """A tumour for a head of relative ``size``: four of five are high grade; one in seven of these is multifocal."""
    high_grade = rng.random() < 0.8
    multifocal = high_grade and rng.random() < 0.15
    radius = size * (rng.uniform(17, 32) if high_grade else rng.uniform(16, 28))
    if multifocal:
        radius *= 0.8
    foci = [_focus(rng, size, radius, high_grade, [])]
    for _ in range(int(rng.integers(1, 3)) if multifocal else 0):
        foci.append(_focus(rng, size, size * rng.uniform(9, 14), high_grade, foci))
    return Tumour("HGG" if high_grade else "LGG", foci, bool(rng.random() < 0.3))


def _focus(rng: np.random.Generator, size: float, radius: float, enhances: bool, others: list[Focus]) -> Focus:
    """A focus in the cerebrum, off the midline, and apart from the ``others`` where that can be."""
    for _ in range(50):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        reach = rng.uniform(0.3, 0.68)
        centre = direction * reach * np.array([44, 66, 48]) + [8, 0, 0]
        centre[2] = np.sign(centre[2]) * max(abs(centre[2]), 16)
        centre *= size
        if all(np.linalg.norm(centre - other.centre_mm) > 0.9 * (radius + other.radius_mm) for other in others):
            break
    # One enhancing tumour in five has hardly any necrosis, and some low-grade ones are nearly all core.
    rim = rng.uniform(3.5, 7.0) * (2.2 if rng.random() < 0.2 else 1) if enhances else 0.0
    fraction = rng.uniform(0.48, 0.75) if enhances else rng.uniform(0.5, 0.95)
    z, y, x = (float(value) for value in centre)
    return Focus((z, y, x), float(radius), float(fraction), float(rim))


def mass_effect(tumour: Tumour, grid: Grid) -> np.ndarray:
    """How far the tumour pushes the tissue around it, in mm, shape (3, z, y, x)."""
    push = np.zeros((3, *grid.shape), np.float32)
    for focus in tumour.foci:
        away = grid.coordinates_mm - np.reshape(focus.centre_mm, (3, 1, 1, 1)).astype(np.float32)
        distance = np.linalg.norm(away, axis=0) + 1e-3
        core_mm = focus.radius_mm * focus.core_fraction
        strength = 0.3 * core_mm * np.exp(-0.5 * ((distance - core_mm) / (0.9 * focus.radius_mm)) ** 2)
        push += away / distance * strength * np.clip(distance / core_mm, 0, 1)
    return push


def draw_tumour(
    rng: np.random.Generator, tumour: Tumour, grid: Grid, brain: np.ndarray, grey: np.ndarray, fluid: np.ndarray
) -> np.ndarray:
    """The tumour's labels 0, NCR, ED and ET: uint8, shape (z, y, x).

    Oedema spreads along the white matter, stops at fluid and thins out in grey matter; the core does not care.
    """
    whole = np.full(grid.shape, np.inf, np.float32)
    core, necrosis = whole.copy(), whole.copy()
    for focus in tumour.foci:
        radius, core_radius = focus.radius_mm, focus.radius_mm * focus.core_fraction
        wobble = [
            radius * amount * grid.smooth_noise(rng, radius * width) for amount, width in ((0.15, 1.1), (0.10, 0.6))
        ]
        fingers = radius * 0.07 * grid.smooth_noise(rng, 10)
        distance = _distance(rng, grid, focus.centre_mm)
        np.minimum(whole, distance - radius + sum(wobble) + fingers, out=whole)
        offset = rng.normal(0, 0.12 * radius, 3)
        shift = np.add(focus.centre_mm, offset)
        core_level = (
            _distance(rng, grid, shift)
            - core_radius
            + core_radius * (0.14 * grid.smooth_noise(rng, core_radius) + 0.05 * grid.smooth_noise(rng, 10))
        )
        np.minimum(core, core_level, out=core)
        rim = focus.rim_mm * np.clip(1 + 0.4 * grid.smooth_noise(rng, 10), 0.35, 2) if focus.rim_mm else 0.0
        np.minimum(necrosis, core_level + rim, out=necrosis)
    whole = np.minimum(whole + 7 * grey + 25 * np.clip(fluid - 0.4, 0, None), core + 1.5)
    labels = np.zeros(grid.shape, np.uint8)
    labels[whole < 0] = ED
    labels[core < 0] = ET
    labels[(necrosis < 0) & (core < 0)] = NCR
    labels[~brain] = 0
    return labels


def _distance(rng: np.random.Generator, grid: Grid, centre_mm: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """Distance in mm from a point, in a space stretched at random along its axes."""
    stretch = np.exp(rng.normal(0, 0.15, 3))
    stretch /= np.cbrt(stretch.prod())
    away = (grid.coordinates_mm - np.reshape(centre_mm, (3, 1, 1, 1))) * stretch.reshape(3, 1, 1, 1)
    return np.linalg.norm(away, axis=0).astype(np.float32)
