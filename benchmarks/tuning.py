"""Tuning of postprocessing beside the same trials without anything kept from one to the next.

    python benchmarks/tuning.py FOLDER [--cases N] [--trials N] [--plain-trials N]

FOLDER holds BraTS studies or lesions with masks. Out-of-fold predictions are made of the masks: the regions, blurred, with
noise. The search runs as ``autobrats_tune`` runs it, in one process; then some of its trials are run again, each from the
probabilities: the rules, the label map, Dice and HD95 by ``score_region``, as a program would that keeps nothing. Both must
agree, and the ratio of their seconds a trial is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_mask, read_volume
from autobrats.evaluation.cases import score_region
from autobrats.postprocessing.region_rules import decide_regions
from autobrats.tuning.objective import new_objective
from autobrats.tuning.postprocessing_search import SearchJob, run_search
from autobrats.tuning.search_space import UNCHANGED, PostprocessingChoice, SearchSpace
from autobrats.tuning.sources import SourceCase
from autobrats.tuning.studies import finished_trials, open_study


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--plain-trials", type=int, default=10, help="run again without caches, spread over all")
    arguments = parser.parse_args()

    dataset, _ = read_dataset(arguments.folder, name="benchmark", layout=None, convention=None)
    names = tuple(case.name for case in dataset.cases if case.mask is not None)[: arguments.cases]
    source = NoisyMasks(dataset, names)
    for name in names:
        source.load(name)
    space = SearchSpace(source.convention)
    with tempfile.TemporaryDirectory() as temporary:
        job = SearchJob(Path(temporary), "benchmark", source, names, (), trials=arguments.trials)
        outcome = run_search(job)
        trials = finished_trials(open_study(job.folder, job.study))
        objective = new_objective(job.objective, plain_scores(source, space.choice(space.default)))
        chosen = trials[:: max(1, len(trials) // arguments.plain_trials)]
        started, worst = time.perf_counter(), 0.0
        for trial in chosen:
            value = objective(plain_scores(source, space.choice(trial.params))).mean()
            worst = max(worst, abs(value - trial.user_attrs["objective"]))
        plain = (time.perf_counter() - started) / len(chosen)
    own = outcome.seconds / len(trials)
    print(f"{len(names)} cases, {len(trials)} trials in {outcome.seconds:.0f} s, opening and importances included")
    print(f"a trial: {own:.3f} s, without caches {plain:.3f} s: {plain / own:.1f} times as long")
    print(f"largest difference of the objective: {worst:.1e}")


if __name__ == "__main__":
    main()
