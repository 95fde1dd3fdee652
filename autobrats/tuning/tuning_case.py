"""A case that is scored under many choices of postprocessing: what two choices share is computed once."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.conventions import Convention
from autobrats.evaluation.reference_surface import ReferenceRegion
from autobrats.postprocessing.region_rules import Components, RegionRule, consistent_regions, cut_regions
from autobrats.tuning.search_space import PostprocessingChoice

Kept = TypeVar("Kept")

RELEVANT = 0.05
"""Voxels of a lower probability are never in a region, whatever is chosen."""


class TuningCase:
    """Probabilities and reference of one case, and what is known of them.

    A rule that only chooses among the components of a cut costs next to nothing if that cut was seen before, and a region
    that was scored before is not scored again.

    Args:
        variants: uint8 (0..255), (region, z, y, x), by the variant's name.
        reference: labels, (z, y, x).
        convention: of both.
        spacing_mm: along (z, y, x).
        margin_mm: how far from every probability and the reference a choice may put a voxel.
        kept_bytes: of components, for the next choice with the same cut.
    """

    def __init__(
        self,
        variants: Mapping[str, np.ndarray],
        reference: np.ndarray,
        convention: Convention,
        spacing_mm: tuple[float, float, float],
        margin_mm: float = 0.0,
        kept_bytes: int = 1_000_000,
    ) -> None:
        self.convention = convention
        relevant = np.any([array.max(0) > RELEVANT * 255 for array in variants.values()], axis=0)
        tight = bounding_slices(relevant | (reference > 0)) or (slice(0, 1),) * 3
        margins = [math.ceil(margin_mm / size) for size in spacing_mm]
        box = tuple(slice(max(0, at.start - by), at.stop + by) for at, by in zip(tight, margins, strict=True))
        self._variants = {name: np.ascontiguousarray(array[(slice(None), *box)]) for name, array in variants.items()}
        regions = convention.to_regions(reference[box]).astype(bool)
        self._shape = regions.shape[1:]
        self._references = [ReferenceRegion(region, spacing_mm) for region in regions]
        self._spacing_mm, self._voxel_mm3 = spacing_mm, math.prod(spacing_mm)
        self._chain = _chain(convention)
        self._kept_bytes = kept_bytes
        self._cuts: _Recent[Components] = _Recent(kept_bytes)
        self._scores: dict[Hashable, tuple[float, float]] = {}

    @property
    def memory_gib(self) -> float:
        """About what it comes to hold: probabilities, and for each region its mask and a distance map; kept components."""
        voxels, regions = math.prod(self._shape), len(self._references)
        return (voxels * regions * (len(self._variants) + 5) + self._kept_bytes) / 2**30

    def scores(self, choice: PostprocessingChoice) -> np.ndarray:
        """Dice and HD95 (mm, BraTS' rules) under a choice: float64, (region, 2)."""
        shaped = [self._shaped(choice, place) for place in range(len(choice.rules))]
        masks = [mask for mask, _ in shaped]
        if self._are_consistent(masks):
            return np.array([self._score(place, mask, key) for place, (mask, key) in enumerate(shaped)])
        decided = consistent_regions(np.stack(masks), self.convention, choice.nesting)
        keys = [
            key if np.array_equal(mask, after) else None for (mask, key), after in zip(shaped, decided, strict=True)
        ]
        return np.array(
            [self._score(place, mask, key) for place, (mask, key) in enumerate(zip(decided, keys, strict=True))]
        )

    def _shaped(self, choice: PostprocessingChoice, place: int) -> tuple[np.ndarray, Hashable]:
        """The region that its rule makes, and what identifies it."""
        rule = choice.rules[place]
        key, components = self._cut(choice, place)
        stays = rule.stays(components, self._voxel_mm3)
        mask = rule.finished(components.kept(stays), self._voxel_mm3)
        return mask, (key, stays.tobytes(), rule.fill_holes, bool(mask.any()))

    def _cut(self, choice: PostprocessingChoice, place: int) -> tuple[Hashable, Components]:
        """The components of a region before any goes, and what identifies them."""
        rule = choice.rules[place]
        # Exclusive regions compete, so the thresholds of all decide about each.
        exclusive = self.convention.exclusive
        threshold = tuple(other.threshold for other in choice.rules) if exclusive else rule.threshold
        key = (choice.variant, place, threshold, rule.grow_mm, rule.fill_holes == "before")
        known = self._cuts.get(key)
        if known is None:
            probabilities = self._variants[choice.variant]
            if exclusive:
                mask = cut_regions(probabilities, [other.threshold for other in choice.rules], self.convention)[place]
            else:
                mask = probabilities[place] > np.float32(rule.threshold) * 255
            known = Components(rule.prepared(mask, self._spacing_mm), probabilities[place])
            self._cuts.put(key, known, known.nbytes)
        return key, known

    def _are_consistent(self, masks: list[np.ndarray]) -> bool:
        """Whether the masks are what a label map can hold; False also where that is not easily told."""
        if self.convention.exclusive:
            return int(np.sum(masks, axis=0, dtype=np.uint8).max()) <= 1
        if self._chain is None:
            return False
        pairs = itertools.pairwise(self._chain)
        return not any((masks[inner] & ~masks[outer]).any() for outer, inner in pairs)

    def _score(self, place: int, mask: np.ndarray, key: Hashable | None) -> tuple[float, float]:
        if key is None:
            key = hashlib.blake2b(np.packbits(mask).tobytes(), digest_size=16).digest()
        key = (place, key)
        if key not in self._scores:
            self._scores[key] = self._references[place].score(mask)
        return self._scores[key]


class _Recent(Generic[Kept]):
    """The last few things by key, as many as fit."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()

    def get(self, key: Hashable) -> Kept | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, thing: Kept, nbytes: int) -> None:
        self._kept[key] = (thing, nbytes)
        self._left -= nbytes
        while self._left < 0 and len(self._kept) > 1:
            self._left += self._kept.popitem(last=False)[1][1]


def default_choice(convention: Convention) -> PostprocessingChoice:
    """The plain threshold of a half for every region."""
    return PostprocessingChoice(tuple(RegionRule() for _ in convention.regions))


def _chain(convention: Convention) -> list[int] | None:
    """The places of the regions from the outermost to the innermost, if each lies in the one before."""
    members = [set(labels) for labels in convention.regions.values()]
    order = sorted(range(len(members)), key=lambda place: -len(members[place]))
    return order if all(members[b] < members[a] for a, b in itertools.pairwise(order)) else None
