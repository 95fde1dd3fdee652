"""Batches for training: which cases, which patches, augmented on the device, read ahead in threads."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from torch import Tensor

from autobrats.dataset.conventions import Convention
from autobrats.loading.foreground_sampler import ForegroundSampler
from autobrats.loading.intensity_augmentation import augment_intensities
from autobrats.loading.spatial_augmentation import SpatialDraw, draw_spatial, transform_patch
from autobrats.loading.training_cases import TrainingCase
from autobrats.plan import Augmentation, PatchBatch, Size

READ_AHEAD = 3
"""Batches that wait, read but not yet augmented."""


@dataclass(frozen=True)
class Batch:
    """What one iteration trains on.

    Attributes:
        images: (batch, modality, z, y, x).
        channels: the true channels of the network's output, uint8, (batch, channel, z, y, x).
        cases: the names of the cases, in order.
    """

    images: Tensor
    channels: Tensor
    cases: list[str]


@dataclass(frozen=True)
class _Sample:
    case: str
    images: Tensor
    mask: Tensor
    draw: SpatialDraw


class ChannelTable:
    """Turns label maps into the channels that a network predicts.

    Args:
        output: ``regions`` or ``labels``.
        convention: what the integers mean.
    """

    def __init__(self, output: Literal["regions", "labels"], convention: Convention) -> None:
        integers = [0, *convention.labels.values()]
        self.index_of_integer = np.zeros(256, np.uint8)
        self.index_of_integer[integers] = np.arange(len(integers))
        if output == "labels":
            table = np.eye(len(integers), dtype=np.uint8)
        else:
            table = np.array([[i in region for i in integers] for region in convention.regions.values()], np.uint8)
        self._members = [np.flatnonzero(row).tolist() for row in table]

    def channels(self, label_indices: Tensor) -> Tensor:
        """Channels, uint8 (channel, ...), of label indices of shape (...)."""
        shape = (len(self._members), *label_indices.shape)
        channels = torch.zeros(shape, dtype=torch.bool, device=label_indices.device)
        for channel, members in zip(channels, self._members, strict=True):
            for index in members:
                channel |= label_indices == index
        return channels.view(torch.uint8)


class BatchLoader:
    """Draws the batch of every iteration from a seed and the iteration's number alone.

    So a resumed training sees exactly the batches that an unbroken one would have seen, whatever was read ahead.
    Cases come in shuffled passes: one of weight 1 comes up once in every pass, one of weight 0.25 in every fourth.

    Args:
        cases: the training cases, with their weights.
        pool: patch and batch sizes; one entry is drawn for every iteration.
        sampler: where patches are taken.
        augmentation: the plan's probabilities and ranges; None for none.
        table: from label maps to channels.
        spacing_mm: of the preprocessed volumes, (z, y, x).
        seed: of everything that is drawn.
        device: where batches are augmented.
        threads: that read ahead; 0 reads in the calling thread.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        pool: Sequence[PatchBatch],
        sampler: ForegroundSampler,
        augmentation: Augmentation | None,
        table: ChannelTable,
        spacing_mm: tuple[float, float, float],
        seed: int,
        device: torch.device,
        threads: int = 1,
    ) -> None:
        self.cases, self.pool, self.sampler, self.augmentation = list(cases), list(pool), sampler, augmentation
        self.table, self.spacing_mm, self.seed, self.device, self.threads = table, spacing_mm, seed, device, threads
        self._entries = np.zeros(0, np.int64)
        self._first_case = np.zeros(1, np.int64)
        self._weights = np.array([case.weight for case in self.cases])
        # Cases of one weight take turns in missing a pass, so that all passes are of about one length.
        self._phases = np.random.default_rng([seed, 3]).permutation(len(self.cases)) / len(self.cases)

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """The batches of the iterations from ``first`` on, without end; close the generator to stop reading ahead."""
        if self.threads == 0:
            for iteration in itertools.count(first):
                yield self._augment(*self._read(*self._entry(iteration)))
        with ThreadPoolExecutor(self.threads, thread_name_prefix="loading") as threads:
            waiting: deque[Future] = deque()
            # On a CPU the augmentation runs beside the training; on a GPU it is queued behind it.
            ahead: Callable[..., Any] = self._prepare if self.device.type == "cpu" else self._read
            try:
                for iteration in itertools.count(first):
                    waiting.append(threads.submit(ahead, *self._entry(iteration)))
                    if len(waiting) < READ_AHEAD + self.threads - 1:
                        continue
                    ready = waiting.popleft().result()
                    yield ready if isinstance(ready, Batch) else self._augment(*ready)
            finally:
                for future in waiting:
                    future.cancel()

    def _prepare(self, iteration: int, entry: PatchBatch, first_case: int) -> Batch:
        return self._augment(*self._read(iteration, entry, first_case))

    def _read(
        self, iteration: int, entry: PatchBatch, first_case: int
    ) -> tuple[list[_Sample], Size, np.random.Generator]:
        rng = np.random.default_rng([self.seed, 0, iteration])
        positions = range(first_case, first_case + entry.batch_size)
        samples = [self._read_sample(self._case_at(position), entry.patch_size, rng) for position in positions]
        return samples, entry.patch_size, rng

    def _read_sample(self, case: TrainingCase, patch_size: Size, rng: np.random.Generator) -> _Sample:
        start = self.sampler.draw(case, patch_size, rng)
        draw = (
            SpatialDraw(None, ())
            if self.augmentation is None
            else draw_spatial(self.augmentation, self.spacing_mm, rng)
        )
        source = draw.source_size(patch_size)
        box = [[s - (w - p) // 2, s - (w - p) // 2 + w] for s, w, p in zip(start, source, patch_size, strict=True)]
        images = crop_and_pad_nd(case.images, box, 0)
        mask = crop_and_pad_nd(case.mask, box, 0)
        indices = self.table.index_of_integer.take(np.asarray(mask))
        return _Sample(case.name, _as_tensor(images, self.device), _as_tensor(indices, self.device), draw)

    def _augment(self, samples: list[_Sample], patch_size: Size, rng: np.random.Generator) -> Batch:
        images = torch.empty(len(samples), len(samples[0].images), *patch_size, device=self.device)
        channels = []
        for sample, row in zip(samples, images, strict=True):
            # Raw patches travel as they are stored, and from pinned memory a GPU fetches them beside its work.
            image = sample.images.to(self.device, non_blocking=True)
            mask = sample.mask.to(self.device, non_blocking=True)
            image, mask = transform_patch(image, mask, sample.draw, patch_size)
            row.copy_(image)
            if self.augmentation is not None:
                augment_intensities(row, self.augmentation, rng)
            channels.append(self.table.channels(mask))
        return Batch(images, torch.stack(channels), [sample.case for sample in samples])

    def _entry(self, iteration: int) -> tuple[int, PatchBatch, int]:
        """An iteration, its entry of the pool, and how many samples came before it."""
        while len(self._entries) <= iteration:
            block = len(self._entries) // 1000
            drawn = np.random.default_rng([self.seed, 1, block]).integers(len(self.pool), size=1000)
            sizes = np.array([entry.batch_size for entry in self.pool])[drawn]
            self._first_case = np.concatenate([self._first_case, self._first_case[-1] + np.cumsum(sizes)])
            self._entries = np.concatenate([self._entries, drawn])
        return iteration, self.pool[self._entries[iteration]], int(self._first_case[iteration])

    def _case_at(self, position: int) -> TrainingCase:
        """The case at a position of the endless sequence of shuffled passes."""
        # The phases shift no case by more than one draw, which bounds the passes that so many draws can take.
        most = int((position + len(self.cases) + 1) / self._weights.sum()) + 2
        turn = bisect_right(range(most), position, key=lambda turn: int(self._draws_before(turn).sum())) - 1
        before = self._draws_before(turn)
        members = np.repeat(np.arange(len(self.cases)), self._draws_before(turn + 1) - before)
        order = np.random.default_rng([self.seed, 2, turn]).permutation(len(members))
        return self.cases[members[order[position - int(before.sum())]]]

    def _draws_before(self, turn: int) -> np.ndarray:
        """How often each case comes up in the passes before number ``turn`` (from 0), int64, (case,)."""
        return np.floor(turn * self._weights + self._phases).astype(np.int64)


def _as_tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """The array, C-contiguous, as a tensor on the CPU; in pinned memory if it is for a CUDA device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory() if device.type == "cuda" else tensor
