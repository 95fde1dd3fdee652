"""Preprocessed cases as training reads them: lazily from the store, or from memory where all of them fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autobrats.devices import GIB, available_ram_gib
from autobrats.preprocessing.network_input import Intensities, input_range, network_input, to_unit_range
from autobrats.preprocessing.store import CaseStore

MEMORY_SHARE = 0.4
"""The share of the free memory that cached cases may take."""


@dataclass(frozen=True)
class TrainingCase:
    """One preprocessed case.

    Attributes:
        images: sliceable, (modality, z, y, x).
        mask: sliceable, (z, y, x), the file's integers.
        locations: voxel coordinates (n, 3) by region.
        weight: how often it is drawn, relative to the cases of weight 1.
    """

    name: str
    images: Any
    mask: Any
    locations: dict[str, np.ndarray]
    weight: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.mask.shape)


def open_cases(
    store: CaseStore,
    names: Sequence[str],
    channels: Sequence[int] | None = None,
    intensities: Intensities = "as_stored",
) -> list[TrainingCase]:
    """The cases of those names, cached in memory if all of them together take less than 40 % of what is free.

    Args:
        store: the preprocessed dataset.
        names: which cases.
        channels: which of the stored modalities, in which order; all by default.
        intensities: see :func:`~autobrats.preprocessing.network_input.network_input`.
    """
    lazy = [TrainingCase(name, store.images(name), store.mask(name), store.locations(name)) for name in names]
    every = list(range(lazy[0].images.shape[0]))
    chosen = every if channels is None else list(channels)
    as_it_is = chosen == every and intensities == "as_stored"
    size = sum(case.images.dtype.itemsize * np.prod(case.images.shape) + np.prod(case.mask.shape) for case in lazy)
    if size > MEMORY_SHARE * available_ram_gib() * GIB:
        return lazy if as_it_is else [replace(c, images=_Input(c.images, chosen, intensities)) for c in lazy]
    cached = []
    for case in lazy:
        images = np.asarray(case.images[:])
        if not as_it_is:
            images = network_input(images, chosen, intensities).astype(images.dtype)
        cached.append(replace(case, images=images, mask=np.asarray(case.mask[:])))
    return cached


class _Input:
    """A stored array as a network sees it, made anew on every slicing.

    Intensities in 0..1 need the whole volume's extremes, which are looked up once.
    """

    def __init__(self, array: Any, channels: list[int], intensities: Intensities) -> None:
        self._array, self._channels, self._intensities = array, channels, intensities
        self._range: tuple[np.ndarray, np.ndarray] | None = None
        self.shape = (len(channels), *array.shape[1:])
        self.dtype = array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        images = np.asarray(self._array[(slice(None), *rest)])[self._channels]
        return (images if self._intensities == "as_stored" else self._rescaled(images))[first]

    def _rescaled(self, images: np.ndarray) -> np.ndarray:
        if self._range is None:
            self._range = input_range(np.asarray(self._array[:])[self._channels])
        return to_unit_range(images, *self._range)
