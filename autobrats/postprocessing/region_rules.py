"""From probabilities to regions by a rule for each: thresholds, hysteresis, components, holes, smallest volume, nesting."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import fill_voids
import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.connected_components import connected_components
from autobrats.dataset.conventions import Convention, above
from autobrats.dataset.distances import distances_inside
from autobrats.postprocessing.context import PostprocessingContext

SLAB = 16
"""Slices that are made consistent at a time."""

Nesting = Literal["paint", "clip"]
"""What becomes of a voxel that is in an inner region and not in the outer one: ``paint`` takes it into the outer one, as
the writing of labels does anyway; ``clip`` takes it from the inner one."""


@dataclass(frozen=True)
class RegionRule:
    """How one region is cut out of its probability; the default is the plain threshold of a half.

    Attributes:
        threshold: a voxel belongs to the region if its probability is above it.
        seed_threshold: hysteresis (Canny 1986, doi:10.1109/TPAMI.1986.4767851): a connected component stays only if some
            voxel of it is above this; not above ``threshold`` means none.
        grow_mm: the border moves outwards by so many mm, before anything else; inwards if it is negative. For label maps,
            of which no probability is known: what a threshold does for probabilities.
        min_component_mm3: smaller components go.
        keep_largest: whether all components but the largest go.
        fill_holes: whether cavities are filled, ``before`` or ``after`` components are taken away.
        min_volume_mm3: a region that is smaller as a whole is taken for absent. For ET this is the rule of many BraTS
            entries (Isensee et al., BraTS 2018, section 2.4): its voxels stay in TC, and so become necrosis.
    """

    threshold: float = 0.5
    seed_threshold: float = 0.0
    grow_mm: float = 0.0
    min_component_mm3: float = 0.0
    keep_largest: bool = False
    fill_holes: Literal["never", "before", "after"] = "never"
    min_volume_mm3: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be above 0 and below 1, not {self.threshold}")
        if not 0 <= self.seed_threshold < 1:
            raise ValueError(f"seed_threshold must be 0 or more and below 1, not {self.seed_threshold}")
        for name in ("min_component_mm3", "min_volume_mm3"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, not {getattr(self, name)}")
        if not math.isfinite(self.grow_mm):
            raise ValueError(f"grow_mm must be finite, not {self.grow_mm}")
        if self.fill_holes not in ("never", "before", "after"):
            raise ValueError(f"fill_holes must be never, before or after, not {self.fill_holes}")

    def shape(self, mask: np.ndarray, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """The region that is made of a cut.

        Args:
            mask: boolean (z, y, x), where the probability is above the threshold.
            probability: in 0..1, or uint8 in 0..255, the same shape.
            spacing_mm: along (z, y, x).
        """
        prepared = self.prepared(mask, spacing_mm)
        if self.takes_components and prepared.any():
            components = Components(prepared, probability)
            prepared = components.kept(self.stays(components, math.prod(spacing_mm)))
        return self.finished(prepared, math.prod(spacing_mm))

    def prepared(self, mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """The mask before its components are looked at: grown, and with its cavities filled if that comes first."""
        if self.grow_mm:
            mask = _grown(mask, self.grow_mm, spacing_mm)
        return _filled(mask) if self.fill_holes == "before" else mask

    @property
    def takes_components(self) -> bool:
        """Whether components may go."""
        return self.seed_threshold > self.threshold or self.min_component_mm3 > 0 or self.keep_largest

    def finished(self, mask: np.ndarray, voxel_mm3: float) -> np.ndarray:
        """What is left to do once the components are chosen."""
        mask = self.filled_after(mask)
        return np.zeros_like(mask) if self.takes_for_absent(int(np.count_nonzero(mask)), voxel_mm3) else mask

    def filled_after(self, mask: np.ndarray) -> np.ndarray:
        """The mask with its cavities filled if that comes after the components."""
        return _filled(mask) if self.fill_holes == "after" else mask

    def takes_for_absent(self, voxels: int, voxel_mm3: float) -> bool:
        """Whether a region of so many voxels is too small."""
        return voxels * voxel_mm3 < self.min_volume_mm3

    def stays(self, components: Components, voxel_mm3: float) -> np.ndarray:
        """Which components stay: boolean, by the component's number; the background, number 0, does not."""
        stays = components.sizes * voxel_mm3 >= self.min_component_mm3
        if self.seed_threshold > self.threshold:
            stays &= above(components.peaks, self.seed_threshold)
        stays[0] = False
        if self.keep_largest and stays.any():
            largest = np.where(stays, components.sizes, 0).argmax()
            stays[:] = False
            stays[largest] = True
        return stays


class Components:
    """The connected components of a mask (voxels that share a corner are connected).

    Args:
        mask: boolean (z, y, x).
        probability: in 0..1, or uint8 in 0..255, the same shape, not to be written to any more.

    Attributes:
        sizes: voxels, by the component's number; 0 is the background.
    """

    def __init__(self, mask: np.ndarray, probability: np.ndarray) -> None:
        self._shape, self._probability = mask.shape, probability
        self._box = bounding_slices(mask) or (slice(0, 0),) * 3
        inner = np.ascontiguousarray(mask[self._box])  # which look-ups take in half the time
        numbers = connected_components(inner)[inner] if inner.size else np.zeros(0, np.uint8)
        self.sizes = np.bincount(numbers, minlength=1)
        # A number for each voxel of the mask, and a bit for each of the box, are a part of an array of numbers.
        self._numbers = numbers.astype(np.min_scalar_type(len(self.sizes)))
        self._bits, self._sides = np.packbits(inner), inner.shape

    @cached_property
    def peaks(self) -> np.ndarray:
        """The highest probability, of the same type, by the component's number."""
        probability = np.ascontiguousarray(self._probability[self._box])[self._inner]
        highest = np.zeros(len(self.sizes), probability.dtype)
        np.maximum.at(highest, self._numbers, probability)
        return highest

    @property
    def nbytes(self) -> int:
        """Of memory, about."""
        return self._bits.nbytes + self._numbers.nbytes + 16 * len(self.sizes)

    @property
    def _inner(self) -> np.ndarray:
        """The mask inside the box."""
        return np.unpackbits(self._bits, count=math.prod(self._sides)).view(bool).reshape(self._sides)

    def kept(self, stays: np.ndarray) -> np.ndarray:
        """The mask, boolean (z, y, x), of the components that stay."""
        inner, numbers = self._inner, np.flatnonzero(stays)
        # A comparison is faster than a look-up.
        inner[inner] = self._numbers == numbers[0] if len(numbers) == 1 else stays[self._numbers]
        mask = np.zeros(self._shape, bool)
        mask[self._box] = inner
        return mask


class RegionRules:
    """A rule for each region, then one label a voxel: what autobrats tunes on out-of-fold predictions.

    Args:
        rules: values of :class:`RegionRule` by the region's name; a region without any is cut at a half.
        nesting: see :data:`Nesting`.

    Raises:
        ValueError: for an unknown value or one outside its range; when called, for a region that is not there.
    """

    needs_images = False
    """Read before predicting: resampled images are not made for nothing."""
    takes_levels = True
    """Probabilities in uint8, 0..255, are taken and given back as such."""

    def __init__(self, rules: Mapping[str, Mapping[str, Any]], nesting: Nesting = "paint") -> None:
        if nesting not in ("paint", "clip"):
            raise ValueError(f"nesting must be paint or clip, not {nesting}")
        known = [field.name for field in fields(RegionRule)]
        for region, values in rules.items():
            for name in values:
                if name not in known:
                    raise ValueError(f"the rule of {region} has '{name}'; known: {', '.join(known)}")
        self.rules = {region: RegionRule(**values) for region, values in rules.items()}
        self.nesting: Nesting = nesting

    def __call__(self, probabilities: np.ndarray, context: PostprocessingContext) -> np.ndarray:
        rules = rules_in_order(self.rules, context.regions)
        levels = probabilities
        if levels.dtype != np.uint8:
            # Rounded like the stored probabilities on which rules are tuned, so that they do here what they did there.
            levels = np.rint(probabilities * 255).astype(np.uint8)
        decided = decide_regions(levels, rules, self.nesting, context.convention, context.spacing_mm)
        return _with_decision(probabilities, decided, context.convention)


def decide_regions(
    probabilities: np.ndarray,
    rules: Sequence[RegionRule],
    nesting: Nesting,
    convention: Convention,
    spacing_mm: tuple[float, float, float],
) -> np.ndarray:
    """The regions, boolean (region, z, y, x), that the rules make of probabilities, in 0..1 or uint8 in 0..255."""
    cuts: Iterable[np.ndarray]
    if convention.exclusive:
        cuts = cut_regions(probabilities, [rule.threshold for rule in rules], convention)
    else:  # one after the other, so that only one is in memory
        cuts = (above(probability, rule.threshold) for rule, probability in zip(rules, probabilities, strict=True))
    decided = np.stack(
        [
            rule.shape(cut, probability, spacing_mm)
            for rule, cut, probability in zip(rules, cuts, probabilities, strict=True)
        ]
    )
    for start in range(0, decided.shape[1], SLAB):
        slab = decided[:, start : start + SLAB]
        for mask, consistent in zip(slab, consistent_masks(list(slab), convention, nesting), strict=True):
            mask[...] = consistent
    return decided


def rules_in_order(rules: Mapping[str, RegionRule], regions: Sequence[str]) -> list[RegionRule]:
    """The rule of each region; the plain one where none is given.

    Raises:
        ValueError: if a rule is for a region that is not there.
    """
    for region in rules:
        if region not in regions:
            raise ValueError(f"there is a rule for the region '{region}'; there are {', '.join(regions)}")
    return [rules.get(region, RegionRule()) for region in regions]


def cut_regions(probabilities: np.ndarray, thresholds: Sequence[float], convention: Convention) -> np.ndarray:
    """Boolean (region, z, y, x) of probabilities, in 0..1 or uint8 in 0..255, before anything is taken away.

    Overlapping regions are cut at their thresholds. Exclusive ones compete with each other and with the background
    (the remainder to 1), a probability counting 0.5 / threshold times.
    """
    if not convention.exclusive:
        return np.stack([above(*pair) for pair in zip(probabilities, thresholds, strict=True)])
    # In levels of uint8, whose sums are exact: a tie with the background is one for both types.
    levels = probabilities * np.float32(255 / _scale(probabilities))
    weighed = levels * (0.5 / np.array(thresholds, np.float32))[:, None, None, None]
    background = 255 - levels.sum(0)
    winner = weighed.argmax(0)
    wins = np.take_along_axis(weighed, winner[None], 0)[0] > background
    return (winner == np.arange(len(probabilities))[:, None, None, None]) & wins


def consistent_masks(masks: Sequence[np.ndarray], convention: Convention, nesting: Nesting) -> list[np.ndarray]:
    """The regions that a label map can hold, of masks that were made one by one; boolean, or with a voxel in each bit."""
    regions = dict(zip(convention.regions, masks, strict=True))
    if nesting == "clip":
        members = {region: set(labels) for region, labels in convention.regions.items()}
        for outer in sorted(members, key=lambda region: -len(members[region])):
            for inner in (region for region, labels in members.items() if labels < members[outer]):
                regions[inner] = regions[inner] & regions[outer]
    nothing = np.zeros_like(masks[0])
    labels = dict.fromkeys((integer for _, integer in convention.paint), nothing)
    for region, painted in convention.paint:
        for integer, mask in labels.items():
            if integer == painted:
                labels[integer] = mask | regions[region]
            elif mask is not nothing:
                labels[integer] = mask & ~regions[region]
    return [
        functools.reduce(np.bitwise_or, (labels.get(integer, nothing) for integer in integers))
        for integers in convention.regions.values()
    ]


def _with_decision(probabilities: np.ndarray, decided: np.ndarray, convention: Convention) -> np.ndarray:
    """Probabilities that lead to the decided regions, rounded to uint8 or not; they stay as they are where they did.

    The memory of ``decided`` may be taken for them.
    """
    are_levels = probabilities.dtype == np.uint8
    if convention.exclusive:
        labels = convention.to_labels(decided)
        changed = np.zeros(labels.shape, bool)
        levels = probabilities if are_levels else np.rint(probabilities * 255).astype(np.uint8)
        shares = probabilities.astype(np.float32) / 255 if are_levels else probabilities
        for as_kept in (shares, levels):
            changed |= convention.decide(as_kept) != labels
        return np.where(changed, decided * probabilities.dtype.type(_scale(probabilities)), probabilities)
    if are_levels:
        result = decided.view(np.uint8)
        for given, into in zip(probabilities, result, strict=True):
            bound = into << 7  # levels from 128 to 255 where it is decided, from 0 to 127 elsewhere
            np.maximum(given, bound, out=into)
            bound += 127
            np.minimum(into, bound, out=into)
        return result
    # The levels on both sides of a half: rounding to uint8 must not carry a voxel over (127.5 is rounded to 128).
    result = np.minimum(probabilities, np.float32(127 / 255))
    np.maximum(probabilities, np.float32(128 / 255), out=result, where=decided)
    return result


def _filled(mask: np.ndarray) -> np.ndarray:
    """The mask without cavities (background that no path connects to the border of the volume)."""
    box = bounding_slices(mask)
    if box is None:
        return mask
    result = np.zeros_like(mask)
    result[box] = fill_voids.fill(mask[box])
    return result


def _grown(mask: np.ndarray, by_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """The mask with its border moved outwards by so many mm, or inwards if it is negative."""
    box = bounding_slices(mask)
    if box is None:
        return mask
    margins = [math.ceil(abs(by_mm) / size) + 1 for size in spacing_mm]
    around = tuple(
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, margin, size in zip(box, margins, mask.shape, strict=True)
    )
    result = np.zeros_like(mask)
    if by_mm > 0:
        result[around] = distances_inside(~mask[around], spacing_mm) <= by_mm
    else:
        result[around] = distances_inside(mask[around], spacing_mm) > -by_mm
    return result


def _scale(probabilities: np.ndarray) -> int:
    return 255 if probabilities.dtype == np.uint8 else 1
