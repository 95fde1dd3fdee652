"""A case that is scored under many choices of postprocessing: what two choices share is computed once."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.conventions import Convention, above
from autobrats.evaluation.reference_surface import ReferenceRegion
from autobrats.postprocessing.region_rules import Components, RegionRule, consistent_masks, cut_regions
from autobrats.tuning.search_space import PostprocessingChoice

Kept = TypeVar("Kept")

RELEVANT = 0.05
"""Voxels of a lower probability are never in a region, whatever is chosen."""


class TuningCase:
    """Probabilities and reference of one case, and what is known of them.

    A rule that only chooses among the components of a cut costs next to nothing if that cut was seen before; regions are kept
    and put together as bits; and what was scored before, by whatever rules it was made, is not scored again.

    Args:
        variants: uint8 (0..255), (region, z, y, x), by the variant's name.
        reference: labels, (z, y, x).
        convention: of both.
        spacing_mm: along (z, y, x).
        margin_mm: how far from every probability and the reference a choice may put a voxel.
        kept_bytes: of components and regions, for the next choice that has them.
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
        self._kept_bytes = kept_bytes
        self._components: _Recent[Components] = _Recent(kept_bytes // 2)
        self._regions: _Recent[_Region] = _Recent(kept_bytes // 2)
        self._decided: dict[Hashable, np.ndarray] = {}
        self._scores: dict[Hashable, tuple[float, float]] = {}

    @property
    def memory_gib(self) -> float:
        """About what it comes to hold: probabilities, and for each region its mask and a distance map; what is kept."""
        voxels, regions = math.prod(self._shape), len(self._references)
        return (voxels * regions * (len(self._variants) + 5) + self._kept_bytes) / 2**30

    def scores(self, choice: PostprocessingChoice) -> np.ndarray:
        """Dice and HD95 (mm, BraTS' rules) under a choice: float64, (region, 2), not to be written to."""
        shaped = [self._shaped(choice, place) for place in range(len(choice.rules))]
        key = (choice.nesting, *(region.digest for region in shaped))
        known = self._decided.get(key)
        if known is None:
            decided = consistent_masks([region.bits for region in shaped], self.convention, choice.nesting)
            known = np.array([self._score(place, bits) for place, bits in enumerate(decided)])
            known.setflags(write=False)
            self._decided[key] = known
        return known

    def _shaped(self, choice: PostprocessingChoice, place: int) -> _Region:
        """The region that its rule makes."""
        rule, cut = choice.rules[place], self._cut_key(choice, place)
        components, chosen = None, b""
        if rule.takes_components:
            components = self._components_of(choice, place, cut)
            stays = rule.stays(components, self._voxel_mm3)
            chosen = b"" if stays[1:].all() else stays.tobytes()
        key = (cut, chosen, rule.fill_holes == "after")
        region = self._regions.get(key)
        if region is None:
            mask = components.kept(stays) if components and chosen else self._prepared(choice, place, cut)
            # Preparing it may have kept just this region.
            region = self._regions.get(key) or self._keep(key, rule.filled_after(mask))
        return _absent(region) if rule.takes_for_absent(region.voxels, self._voxel_mm3) else region

    def _components_of(self, choice: PostprocessingChoice, place: int, cut: Hashable) -> Components:
        """The components of a region before any goes."""
        known = self._components.get(cut)
        if known is None:
            known = Components(self._prepared(choice, place, cut), self._variants[choice.variant][place])
            self._components.put(cut, known, known.nbytes)
        return known

    def _prepared(self, choice: PostprocessingChoice, place: int, cut: Hashable) -> np.ndarray:
        """The region before its components are looked at, boolean (z, y, x)."""
        key = (cut, b"", False)
        known = self._regions.get(key)
        if known is not None:
            return self._unpacked(known.bits)
        rule, probabilities = choice.rules[place], self._variants[choice.variant]
        if self.convention.exclusive:
            mask = cut_regions(probabilities, [other.threshold for other in choice.rules], self.convention)[place]
        else:
            mask = above(probabilities[place], rule.threshold)
        mask = rule.prepared(mask, self._spacing_mm)
        self._keep(key, mask)
        return mask

    def _cut_key(self, choice: PostprocessingChoice, place: int) -> Hashable:
        """What identifies a region before its components are looked at."""
        rule = choice.rules[place]
        # Exclusive regions compete, so the thresholds of all decide about each.
        exclusive = self.convention.exclusive
        threshold = tuple(other.threshold for other in choice.rules) if exclusive else rule.threshold
        return choice.variant, place, threshold, rule.grow_mm, rule.fill_holes == "before"

    def _keep(self, key: Hashable, mask: np.ndarray) -> _Region:
        bits = np.packbits(mask)
        region = _Region(bits, _digest(bits), int(np.count_nonzero(mask)))
        self._regions.put(key, region, region.nbytes)
        return region

    def _unpacked(self, bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, count=math.prod(self._shape)).view(bool).reshape(self._shape)

    def _score(self, place: int, bits: np.ndarray) -> tuple[float, float]:
        key = (place, _digest(bits))
        if key not in self._scores:
            self._scores[key] = self._references[place].score(self._unpacked(bits))
        return self._scores[key]


class _Region(NamedTuple):
    """A region, one bit a voxel, and what identifies it whatever rule it was made by."""

    bits: np.ndarray
    digest: bytes
    voxels: int

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + 200


def _absent(region: _Region) -> _Region:
    bits = np.zeros_like(region.bits)
    return _Region(bits, _digest(bits), 0)


def _digest(bits: np.ndarray) -> bytes:
    return hashlib.blake2b(bits.data, digest_size=16).digest()


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
        if key in self._kept:
            self._left += self._kept.pop(key)[1]
        self._kept[key] = (thing, nbytes)
        self._left -= nbytes
        while self._left < 0 and len(self._kept) > 1:
            self._left += self._kept.popitem(last=False)[1][1]


def default_choice(convention: Convention) -> PostprocessingChoice:
    """The plain threshold of a half for every region."""
    return PostprocessingChoice(tuple(RegionRule() for _ in convention.regions))
