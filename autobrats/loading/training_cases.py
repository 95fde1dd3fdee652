"""Preprocessed cases as training reads them: lazily from the store, or from memory where all of them fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobrats.devices import GIB, available_ram_gib
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
    """

    name: str
    images: Any
    mask: Any
    locations: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.mask.shape)


def open_cases(store: CaseStore, names: Sequence[str], channels: Sequence[int] | None = None) -> list[TrainingCase]:
    """The cases of those names, cached in memory if all of them together take less than 40 % of what is free.

    Args:
        store: the preprocessed dataset.
        names: which cases.
        channels: which of the stored modalities, in which order; all by default.
    """
    lazy = [TrainingCase(name, store.images(name), store.mask(name), store.locations(name)) for name in names]
    keeps_all = channels is None or list(channels) == list(range(lazy[0].images.shape[0]))
    size = sum(case.images.dtype.itemsize * np.prod(case.images.shape) + np.prod(case.mask.shape) for case in lazy)
    if size > MEMORY_SHARE * available_ram_gib() * GIB:
        if keeps_all:
            return lazy
        return [TrainingCase(c.name, _Channels(c.images, list(channels or [])), c.mask, c.locations) for c in lazy]
    select = slice(None) if keeps_all else list(channels or [])
    return [TrainingCase(c.name, np.asarray(c.images[:])[select], np.asarray(c.mask[:]), c.locations) for c in lazy]


class _Channels:
    """Some channels of a stored array, read on slicing."""

    def __init__(self, array: Any, channels: list[int]) -> None:
        self._array, self._channels = array, channels
        self.shape = (len(channels), *array.shape[1:])
        self.dtype = array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        return np.asarray(self._array[(slice(None), *rest)])[self._channels][first]
