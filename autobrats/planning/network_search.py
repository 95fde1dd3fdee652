"""Which network, on which patches, with which batches: the largest that memory and time allow."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.building import build_network, divisor_of
from autobrats.plan import Part, PatchBatch, Size
from autobrats.planning.memory import estimate_training_memory_gib
from autobrats.planning.network_sizes import LADDER, NetworkSize, RecipeRung
from autobrats.planning.speed import forward_flops, measure_step_s
from autobrats.planning.weightless import without_weights

MEMORY_SHARE = 0.85
"""The share of the device's memory that the plan fills."""
CPU_BATCH_VOXELS, GPU_BATCH_VOXELS = 8 * 32**3, 4 * 128**3
"""Voxels of a batch: more make a step slower, not better, within the usual time."""
SMALLEST_BATCH = 2
"""A smaller patch is preferred to a single sample a step, whose gradient is noisy (as in nnU-Net)."""
CPU_PATCH_SIDE = 96
WORTH_MEASURING = 0.4
"""A candidate is measured only if its arithmetic says that it gets this share of the iterations it wants."""
PUBLISHED_SIDES = (144, 128, 112, 96, 80, 64)
"""Of the patches that Zhao et al. (2019, section 3.3) draw from."""
SMALLEST_SIDE = 16
"""A patch of a pool of many sizes has a side of at least so many voxels."""
LEAST_ITERATIONS = 300
"""Fewer steps teach no network: even the smallest one's patch shrinks until the budget buys so many."""


Rung = NetworkSize | RecipeRung


@dataclass(frozen=True)
class Candidate:
    """A network with its pool, and how many steps the budget buys.

    Attributes:
        size: the rung of the ladder.
        network: the part for the plan.
        pool: the largest patch first.
        step_s: seconds of a step of the first entry; None without a budget.
        iterations: that fit into the budget; None without one.
    """

    size: Rung
    network: Part
    pool: list[PatchBatch]
    step_s: float | None
    iterations: int | None

    @property
    def is_enough(self) -> bool:
        return self.iterations is None or self.iterations >= _enough(self.size)


@dataclass(frozen=True)
class NetworkSearch:
    """Looks for the largest network, and with it the largest patch, of which the budget buys enough iterations.

    Attributes:
        volume: voxels of the median volume on the network's grid, (z, y, x).
        spacing_mm: of that grid.
        in_channels, out_channels: of the network.
        loss: builds the loss.
        cases: of a fold's training, which bound the batch.
        device: where steps are measured.
        device_type: planned for; ``cuda`` on a machine without one if the user names a card's memory.
        memory_gib: of the device.
        budget_s: for the steps of one fold; None for no limit.
        flop_per_s: of training steps on the device, by which hopeless candidates are told without being measured.
        ladder: sizes of the network, from the largest to the smallest.
        many_sizes: the pool holds many patch sizes, each with as many samples as the first's voxels make up, instead of
            one or two (Zhao et al., 2019).
        most_samples: of a batch of the largest patch.
    """

    volume: Sequence[float]
    spacing_mm: tuple[float, float, float]
    in_channels: int
    out_channels: int
    loss: Callable[[], SegmentationLoss]
    cases: int
    device: torch.device
    device_type: str
    memory_gib: float
    budget_s: float | None
    flop_per_s: float
    ladder: Sequence[Rung] = LADDER
    many_sizes: bool = False
    most_samples: int = 8

    def find(self) -> Candidate:
        """The best candidate: the first of the ladder with enough iterations, else its last, on the smallest patch."""
        last = None
        for size in self.ladder:
            patches = self._patches(size)
            for patch in patches:
                is_last = size is self.ladder[-1] and patch == patches[-1]
                candidate = self._candidate(size, patch, may_be_hopeless=not is_last)
                if candidate is None:
                    continue
                last = candidate
                fewest = min(SMALLEST_BATCH, self._most_samples(patch))
                if candidate.is_enough and candidate.pool[0].batch_size >= fewest:
                    return candidate
        return last or self._smallest()

    def _candidate(self, size: Rung, patch: Size, may_be_hopeless: bool) -> Candidate | None:
        """The candidate, measured; None if it does not fit the memory or, by its arithmetic, is hopelessly slow.

        Args:
            may_be_hopeless: False measures it whatever its arithmetic.
        """
        part = size.part(patch, self.spacing_mm)
        wanted = self._wanted_batch(patch)
        if may_be_hopeless and self.budget_s is not None:
            step_s = 3 * forward_flops(self._network(part), self.in_channels, patch) * wanted / self.flop_per_s
            if self.budget_s / step_s < WORTH_MEASURING * _enough(size):
                return None
        entry = self._entry(part, patch, wanted)
        if entry is None:
            return None
        pool = [entry, *(self._many_entries(part, entry) if self.many_sizes else self._smaller_entries(part, entry))]
        if self.budget_s is None:
            return Candidate(size, part, pool, None, None)
        step_s = self._step_s(part, entry)
        return Candidate(size, part, pool, step_s, max(1, int(self.budget_s / step_s)))

    def _smallest(self) -> Candidate:
        """When nothing fits the memory by the estimate: the smallest there is, one sample a step."""
        smallest = self.ladder[-1]
        patch = self._patches(smallest)[-1]
        entry = PatchBatch(patch_size=patch, batch_size=1)
        return Candidate(smallest, smallest.part(patch, self.spacing_mm), [entry], None, None)

    def _patches(self, size: Rung) -> list[Size]:
        """Patch sizes from the largest that makes sense to the smallest, each with the volumes' proportions."""
        limit = min(size.patch_side, CPU_PATCH_SIDE) if self.device_type == "cpu" else size.patch_side
        sides = [side for side in (160, 128, 112, 96, 80, 64, 48, 32) if side <= limit]
        return [patch for patch, _ in itertools.groupby(_round_up(self._patch(side), size.divisor) for side in sides)]

    def _patch(self, side: int) -> Size:
        """A patch of about side^3 voxels, not larger than the median volume, each side a multiple of 16 (8, 4)."""
        finest = min(self.spacing_mm)
        result = []
        for extent, spacing in zip(self.volume, self.spacing_mm, strict=True):
            wanted = min(side * max(finest / spacing, 0.25), extent)
            step = 16 if wanted >= 48 else 8 if wanted >= 20 else 4
            result.append(max(8, step * math.ceil(wanted / step - 0.25)))
        return (result[0], result[1], result[2])

    def _wanted_batch(self, patch: Size) -> int:
        voxels = CPU_BATCH_VOXELS if self.device_type == "cpu" else GPU_BATCH_VOXELS
        wanted = min(self.most_samples, max(SMALLEST_BATCH, round(voxels / math.prod(patch))))
        return min(wanted, self._most_samples(patch))

    def _most_samples(self, patch: Size) -> int:
        """As many patches as the dataset holds side by side: more in a batch would show the same voxels twice."""
        return self.cases * max(1, round(math.prod(self.volume) / math.prod(patch)))

    def _entry(self, part: Part, patch: Size, batch: int) -> PatchBatch | None:
        """The patch with the wanted batch, or the largest smaller one that fits the memory."""
        limit = MEMORY_SHARE * self.memory_gib
        memory = self._estimate_gib(part, patch, batch)
        if memory > limit and batch > 1:
            # All that a larger batch adds are activations, which are proportional to it.
            of_one = self._estimate_gib(part, patch, 1)
            batch = int(1 + (limit - of_one) * (batch - 1) / (memory - of_one))
            memory = self._estimate_gib(part, patch, batch) if batch > 1 else of_one
        if memory > limit:
            return None
        return PatchBatch(patch_size=patch, batch_size=batch, memory_gib=round(memory, 2))

    def _smaller_entries(self, part: Part, largest: PatchBatch) -> list[PatchBatch]:
        """A second entry for the pool: three quarters of each side, and as many more samples (Zhao et al., 2019)."""
        divisor = divisor_of(without_weights(self._network(part)))
        sides = [max(d, round(0.75 * s / d) * d) for s, d in zip(largest.patch_size, divisor, strict=True)]
        if min(sides) < 48:
            return []
        patch = (sides[0], sides[1], sides[2])
        ratio = math.prod(largest.patch_size) / math.prod(patch)
        entry = self._entry(part, patch, min(self._most_samples(patch), round(ratio * largest.batch_size)))
        return [entry] if entry is not None and entry.batch_size > largest.batch_size else []

    def _many_entries(self, part: Part, largest: PatchBatch) -> list[PatchBatch]:
        """Smaller patches in the proportions of Zhao et al. (2019), with as many more samples as their voxels allow."""
        divisor = divisor_of(without_weights(self._network(part)))
        pool = [largest]
        for share in PUBLISHED_SIDES[1:]:
            sides = [share / PUBLISHED_SIDES[0] * side for side in largest.patch_size]
            z, y, x = (max(2 * d, round(side / d) * d) for side, d in zip(sides, divisor, strict=True))
            ratio = math.prod(largest.patch_size) / (z * y * x)
            if (z, y, x) == pool[-1].patch_size or max(z, y, x) < SMALLEST_SIDE:
                continue
            entry = self._entry(part, (z, y, x), min(self._most_samples((z, y, x)), round(ratio * largest.batch_size)))
            pool += [entry] if entry is not None else []
        return pool[1:]

    def _estimate_gib(self, part: Part, patch: Size, batch: int) -> float:
        sizes = (self.in_channels, self.out_channels, patch, batch)
        return estimate_training_memory_gib(self._network(part), self.loss, *sizes, self.device_type, True)

    def _step_s(self, part: Part, entry: PatchBatch) -> float:
        """Seconds of a step: measured here, or, for a card that is not here, from the arithmetic."""
        if self.device.type != self.device_type:
            flops = forward_flops(self._network(part), self.in_channels, entry.patch_size) * entry.batch_size
            return 3 * flops / self.flop_per_s
        sizes = (self.in_channels, self.out_channels, entry.patch_size, entry.batch_size)
        return measure_step_s(self._network(part), self.loss, *sizes, self.device)

    def _network(self, part: Part) -> Callable[[], nn.Module]:
        return functools.partial(build_network, part.name, part.options, self.in_channels, self.out_channels)


def _round_up(patch: Size, divisor: Size) -> Size:
    z, y, x = (math.ceil(side / d) * d for side, d in zip(patch, divisor, strict=True))
    return (z, y, x)


def _enough(size: Rung) -> int:
    return max(LEAST_ITERATIONS, size.enough_iterations)
