"""What a network is trained on beside the labelled cases: unlabelled ones with a teacher's labels, seen in a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from autobrats.preprocessing.store import CaseProperties, CaseStore


class StudentStore(CaseStore):
    """Labelled and unlabelled cases in one store that is only read.

    Args:
        labelled: with images and masks.
        unlabelled: with images.
        names: the cases that are of ``unlabelled``.
        labels: the masks and locations of those (see :meth:`~autobrats.training.pseudo_labels.Teacher.label`); None before
            a teacher has labelled them.
        view: axes, 0 for z to 2 for x, along which everything is mirrored: images, masks and locations.
    """

    def __init__(
        self,
        labelled: CaseStore,
        unlabelled: CaseStore,
        names: Iterable[str],
        labels: CaseStore | None = None,
        view: Sequence[int] = (),
    ) -> None:
        super().__init__(labelled.folder)
        self.view = tuple(view)
        self._labelled, self._unlabelled, self._labels = labelled, unlabelled, labels
        self._unlabelled_names = frozenset(names)

    def names(self) -> list[str]:
        return sorted({*self._labelled.names(), *self._unlabelled_names})

    def properties(self, name: str) -> CaseProperties:
        """What is known of a case; its placement is that of the study, unmirrored."""
        properties = self._images_of(name).properties(name)
        if name not in self._unlabelled_names or self._labels is None:
            return properties
        return properties.model_copy(update={"region_voxels": self._labels.properties(name).region_voxels})

    def images(self, name: str) -> Any:
        return self._seen(self._images_of(name).images(name))

    def mask(self, name: str) -> Any:
        return self._seen(self._masks_of(name).mask(name))

    def has_mask(self, name: str) -> bool:
        return self._masks_of(name).has_mask(name)

    def locations(self, name: str) -> dict[str, np.ndarray]:
        shape = self.properties(name).shape
        locations = self._masks_of(name).locations(name)
        for voxels in locations.values():
            for axis in self.view:
                voxels[:, axis] = shape[axis] - 1 - voxels[:, axis]
        return locations

    def write(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a student's store is only read")

    def remove(self, name: str) -> NoReturn:
        raise TypeError("a student's store is only read")

    def _images_of(self, name: str) -> CaseStore:
        return self._unlabelled if name in self._unlabelled_names else self._labelled

    def _masks_of(self, name: str) -> CaseStore:
        return self._labels if name in self._unlabelled_names and self._labels is not None else self._images_of(name)

    def _seen(self, array: Any) -> Any:
        return MirroredArray(array, self.view) if self.view else array


class MirroredArray:
    """An array in a mirror, read as far as it is sliced (by slices without a step on the mirrored axes).

    Args:
        array: (..., z, y, x).
        axes: 0 for z to 2 for x.
    """

    def __init__(self, array: Any, axes: Sequence[int]) -> None:
        self._array = array
        self._axes = tuple(axis - 3 for axis in axes)
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        given = index if isinstance(index, tuple) else (index,)
        parts = [*given, *[slice(None)] * (len(self.shape) - len(given))]
        for axis in self._axes:
            size = self.shape[axis]
            start, stop, _ = parts[axis].indices(size)
            parts[axis] = slice(size - stop, size - start)
        return np.ascontiguousarray(np.flip(np.asarray(self._array[tuple(parts)]), self._axes))
