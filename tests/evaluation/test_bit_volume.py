"""Volumes as rows of bits: what a row says of neighbours, surfaces and places is what the volume says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from autobrats.evaluation.bit_volume import BitGrid, Surroundings, count_bits
from autobrats.evaluation.surface import surface

SHAPES = [(3, 4, 5), (1, 1, 1), (2, 7, 8), (4, 3, 17), (5, 5, 64)]
MARGIN = 2


def random_mask(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < 0.6


def unpacked(grid: BitGrid, inside: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(grid.positions(grid.places(inside), (1, 1, 1)).T)] = True
    return mask


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_comes_back(shape) -> None:
    grid, mask = BitGrid(shape, MARGIN), random_mask(shape)
    inside = grid.inside(grid.pack(mask))
    np.testing.assert_array_equal(unpacked(grid, inside, shape), mask)
    assert count_bits(inside) == mask.sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_surroundings(shape) -> None:
    """At every distance within the margin; outside the volume is nothing."""
    grid, mask = BitGrid(shape, MARGIN), random_mask(shape)
    row, padded = grid.pack(mask), np.pad(mask, MARGIN)
    every, surroundings = grid.inside(grid.pack(np.ones(shape, bool))), Surroundings(grid, row)
    for distance in itertools.product(range(MARGIN + 1), repeat=3):
        expected = np.zeros(shape, bool)
        for signs in itertools.product((-1, 1), repeat=3):
            starts = [MARGIN + sign * by for sign, by in zip(signs, distance, strict=True)]
            expected |= padded[tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))]
        np.testing.assert_array_equal(unpacked(grid, surroundings.at(*distance) & every, shape), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_surface(shape) -> None:
    grid = BitGrid(shape, MARGIN)
    for mask in (random_mask(shape), np.ones(shape, bool), np.zeros(shape, bool)):
        found = grid.inside(grid.surface(grid.pack(mask)))
        np.testing.assert_array_equal(unpacked(grid, found, shape), surface(mask))


def test_values_lie_where_the_bits_do() -> None:
    shape = (3, 4, 5)
    grid, mask = BitGrid(shape, MARGIN), random_mask(shape)
    values = np.arange(60, dtype=np.float32).reshape(shape)
    places = grid.places(grid.inside(grid.pack(mask)))
    np.testing.assert_array_equal(grid.flat(values)[places], values[mask])
    spacing_mm = (3.0, 0.5, 2.0)
    np.testing.assert_array_equal(grid.positions(places, spacing_mm), np.argwhere(mask) * spacing_mm)
