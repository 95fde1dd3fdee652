"""Predictions made of a dataset's own masks, and the score of a trial of postprocessing without anything kept: for the row.

Out-of-fold predictions are made of the masks: the regions, blurred, with noise. A plain trial starts from the probabilities:
the rules, the label map, Dice and HD95 by ``score_region``, as a program would that keeps nothing from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.volumes import read_mask, read_volume
from autobrats.evaluation.cases import score_region
from autobrats.postprocessing.region_rules import decide_regions
from autobrats.tuning.search_space import UNCHANGED, PostprocessingChoice
from autobrats.tuning.sources import SourceCase


@dataclass(frozen=True)
class NoisyMasks:
    """Predictions made of a dataset's own masks."""

    dataset: Dataset
    names: tuple[str, ...]
    key: str = "noisy masks"
    graded: bool = True

    @property
    def convention(self) -> Convention:
        return self.dataset.convention

    @property
    def patients(self) -> dict[str, str]:
        return {name: self.dataset.case(name).patient for name in self.names}

    @property
    def variants(self) -> list[str]:
        return []

    def load(self, name: str) -> SourceCase:
        return _noisy(self.dataset.case(name), self.dataset.convention)


@cache
def _made(name: str) -> dict[str, SourceCase]:
    return {}


def _noisy(case: Case, convention: Convention) -> SourceCase:
    known = _made(case.name)
    if "case" not in known:
        geometry = read_volume(next(iter(case.images.values()))).geometry
        reference = read_mask(case.mask, geometry)
        random = np.random.default_rng(len(case.name) + int(reference.sum()))
        regions = convention.to_regions(reference).astype(np.float32)
        noise = gaussian_filter(random.normal(size=regions.shape), (0, 1.5, 1.5, 1.5)) * 3
        blurred = gaussian_filter(regions, (0, 1, 1, 1)) + 0.25 * noise
        probabilities = np.rint(blurred.clip(0, 1) * 255).astype(np.uint8)
        known["case"] = SourceCase({UNCHANGED: probabilities}, reference, geometry.spacing_mm)
    return known["case"]


def plain_scores(source: NoisyMasks, choice: PostprocessingChoice) -> np.ndarray:
    """(case, region, 2), everything from the beginning."""
    scores = []
    for name in source.names:
        case = source.load(name)
        probabilities = case.variants[UNCHANGED]
        decided = decide_regions(probabilities, choice.rules, choice.nesting, source.convention, case.spacing_mm)
        references = source.convention.to_regions(case.reference).astype(bool)
        pairs = [score_region(one, other, case.spacing_mm) for one, other in zip(decided, references, strict=True)]
        scores.append([[pair["dice"], pair["hd95"]] for pair in pairs])
    return np.array(scores)
