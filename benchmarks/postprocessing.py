"""What the CRF and the connected components cost on whole studies, and what they change in noisy probabilities.

    python benchmarks/postprocessing.py [FOLDER]

FOLDER holds BraTS studies with masks (240 x 240 x 155 voxels, four modalities); without it, one such study is generated.
The probabilities are made of the masks: the regions, blurred, with smooth noise of two scales in the logits, which gives
rough borders and false specks anywhere in the brain. The study is not cropped; a plan crops to the brain and is faster.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from autobrats.dataset.conventions import Convention
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_mask, read_study
from autobrats.devices import PeakMemory, core_count
from autobrats.evaluation.cases import score_case
from autobrats.phantoms.folder import write_study
from autobrats.phantoms.study import generate_study
from autobrats.plan import Preprocessing
from autobrats.postprocessing.components import ConnectedComponents
from autobrats.postprocessing.context import PostprocessingContext, PostprocessingStep, stages
from autobrats.postprocessing.dense_crf import DenseCRF
from autobrats.preprocessing.transform import preprocess
from autobrats.reporting.tables import print_table

CPU = torch.device("cpu")
CRF, COMPONENTS = DenseCRF(), ConnectedComponents()
STEPS: dict[str, list[PostprocessingStep]] = {
    "nothing": [],
    "CRF": [CRF],
    "components": [COMPONENTS],
    "CRF, components": [CRF, COMPONENTS],
}


@dataclass(frozen=True)
class Example:
    """A study with its truth and probabilities, on the study's own grid."""

    name: str
    mask: np.ndarray
    probabilities: np.ndarray
    context: PostprocessingContext


def main() -> None:
    """Print a table for each study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--studies", type=int, help="only the first N of the folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        if arguments.folder is None:
            write_study(folder / "Phantom", "Phantom", generate_study(0, (155, 240, 240)))
        for example in itertools.islice(examples(folder), arguments.studies):
            regions = example.context.regions
            print_table(
                ["steps", "wall s", "CPU s", "GiB", *(f"Dice {r}" for r in regions), *(f"HD95 {r}" for r in regions)],
                [[name, *measure(steps, example)] for name, steps in STEPS.items()],
                title=f"{example.name}, {example.mask.shape} voxels, {core_count()} cores",
            )


def examples(folder: Path) -> Iterator[Example]:
    """The studies of the folder that have a mask, one after the other."""
    dataset, _ = read_dataset(folder, name="benchmark")
    for case in dataset.cases:
        if case.mask is None:
            continue
        study = read_study(case, dataset.modalities)
        mask = read_mask(case.mask, study.geometry)
        plan = Preprocessing(crop_to_brain=False, spacing_mm=study.spacing_mm, normalisation={})
        images = preprocess(study.images, study.present, study.spacing_mm, plan, dataset.modalities).images
        probabilities = noisy_probabilities(mask, np.asarray(images.any(0)), dataset.convention)
        context = PostprocessingContext(dataset.convention, images, study.spacing_mm)
        yield Example(case.name, mask, probabilities, context)


def noisy_probabilities(mask: np.ndarray, brain: np.ndarray, convention: Convention) -> np.ndarray:
    """Float32, (region, z, y, x); nested like the regions, almost 0 outside the brain."""
    random = np.random.default_rng(0)
    regions = convention.to_regions(mask)
    result = np.empty(regions.shape, np.float32)
    for region, probabilities in zip(regions, result, strict=True):
        logits = 9 * gaussian_filter(region.astype(np.float32), 1.5) - 5
        for sigma, strength in ((0.7, 1.0), (2.0, 1.5)):
            noise = gaussian_filter(random.standard_normal(region.shape, np.float32), sigma)
            logits += strength * noise / noise.std()
        probabilities[:] = expit(np.where(brain, logits, -9))
    for (outer, around), (inner, part) in itertools.permutations(enumerate(convention.regions.values()), 2):
        if set(part) < set(around):
            np.minimum(result[inner], result[outer], out=result[inner])
    return result


def measure(steps: list[PostprocessingStep], example: Example) -> list[str]:
    """Wall and CPU seconds, peak GiB above the arrays given, and Dice and HD95 in mm of each region."""
    started, started_cpu = time.perf_counter(), time.process_time()
    with PeakMemory(CPU) as peak:
        *_, probabilities = stages(steps, example.probabilities, example.context)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    convention = example.context.convention
    scores = score_case(convention.decide(probabilities), example.mask, convention, example.context.spacing_mm)
    return [
        f"{wall_s:.1f}",
        f"{cpu_s:.1f}",
        f"{peak.gib:.2f}",
        *(f"{scores[region]['dice']:.3f}" for region in example.context.regions),
        *(f"{scores[region]['hd95']:.1f}" for region in example.context.regions),
    ]


if __name__ == "__main__":
    main()
