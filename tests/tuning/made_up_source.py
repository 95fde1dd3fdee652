"""Cases with made-up tumours and predictions, held in memory, as a source to tune on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cc3d
import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, gaussian_filter

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN
from autobrats.tuning.search_space import UNCHANGED, SearchSpace
from autobrats.tuning.sources import SourceCase

BRATS = KNOWN["brats2017"]
SHAPE = (14, 18, 16)
SPACING_MM = (4.0, 3.0, 3.0)


@dataclass(frozen=True)
class MadeUpSource:
    """A source that remembers which cases were read."""

    cases: dict[str, SourceCase]
    patients: dict[str, str]
    convention: Convention = field(default_factory=lambda: BRATS)
    variants: list[str] = field(default_factory=list)
    graded: bool = True
    loaded: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        digest = hashlib.sha256()
        for name, case in self.cases.items():
            digest.update(name.encode() + case.reference.tobytes())
            for probabilities in case.variants.values():
                digest.update(probabilities.tobytes())
        return digest.hexdigest()

    def load(self, name: str) -> SourceCase:
        self.loaded.append(name)
        return self.cases[name]


def tumour(random: np.random.Generator) -> np.ndarray:
    """Labels of a round tumour away from the border: oedema around a core that enhances in the middle.

    Solid, because a hollow region overlaps better with a displaced one if it is filled: a true gain even for predictions
    of another patient.
    """
    centre = [random.uniform(0.4, 0.6) * size for size in SHAPE]
    grid = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    distance_mm = np.sqrt(((grid * np.reshape(SPACING_MM, (3, 1, 1, 1))) ** 2).sum(0))
    wobble = gaussian_filter(random.normal(size=SHAPE), 1.5) * 12
    radius_mm = random.uniform(13, 17)
    labels = np.zeros(SHAPE, np.uint8)
    for share, integer in ((1.0, 2), (0.7, 1), (0.5, 4)):
        labels[distance_mm + wobble < share * radius_mm] = integer
    return labels


def predicted(
    labels: np.ndarray, random: np.random.Generator, noise_mm: float = 2.0, shift_mm: float = 0.0
) -> np.ndarray:
    """Logits, (region, z, y, x): the signed distance to the border, moved outwards, with smooth noise."""
    logits = []
    for region in BRATS.to_regions(labels).astype(bool):
        inside = distance_transform_edt(region, sampling=SPACING_MM) - distance_transform_edt(
            ~region, sampling=SPACING_MM
        )
        smooth = gaussian_filter(random.normal(size=SHAPE), 1.0)
        logits.append(np.clip(inside + shift_mm + noise_mm * smooth / smooth.std(), -9, 9))
    return np.stack(logits) * 0.5


def to_levels(logits: np.ndarray) -> np.ndarray:
    return np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)


def noisy(count: int = 16, seed: int = 0, *, noise_mm: float = 2.0, shift_mm: float = 0.0) -> MadeUpSource:
    """Predictions whose borders scatter around the true ones, outwards as much as inwards unless they are shifted."""
    cases = {}
    for number in range(count):
        random = np.random.default_rng([seed, number])
        labels = tumour(random)
        probabilities = to_levels(predicted(labels, random, noise_mm, shift_mm))
        cases[f"case_{number:02d}"] = SourceCase({UNCHANGED: probabilities}, labels, SPACING_MM)
    return MadeUpSource(cases, {name: f"patient_{name[-2:]}" for name in cases})


def with_specks(source: MadeUpSource, count: int = 8) -> MadeUpSource:
    """With so many voxels of false enhancing tumour far from the tumour in every case."""
    cases = {}
    for number, (name, case) in enumerate(source.cases.items()):
        random = np.random.default_rng([7, number])
        far = np.argwhere(distance_transform_edt(case.reference == 0, sampling=SPACING_MM) > 10)
        probabilities = case.variants[UNCHANGED].copy()
        for z, y, x in far[random.permutation(len(far))[:count]]:
            probabilities[:, z, y, x] = 220
        cases[name] = replace(case, variants={UNCHANGED: probabilities})
    return replace(source, cases=cases, loaded=[])


def shuffled(source: MadeUpSource) -> MadeUpSource:
    """Every case with the predictions of the next one."""
    names = list(source.cases)
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    cases = {name: replace(source.cases[name], variants=source.cases[following[name]].variants) for name in names}
    return replace(source, cases=cases, loaded=[])


def without_grades(source: MadeUpSource) -> MadeUpSource:
    """Label maps: probabilities of nothing but 0 and 1."""
    cases = {
        name: replace(
            case, variants={key: (levels > 127).astype(np.uint8) * 255 for key, levels in case.variants.items()}
        )
        for name, case in source.cases.items()
    }
    return replace(source, cases=cases, loaded=[], graded=False)


def of_patients(source: MadeUpSource, patients: Mapping[str, str]) -> MadeUpSource:
    return replace(source, patients={**source.patients, **patients}, loaded=[])


def sharp(count: int = 16, seed: int = 0) -> MadeUpSource:
    """As good as can be: some voxels at the borders are wrong by chance, and every probability is sure.

    Half of the cases are too large and half too small, without a hole, a speck or a region outside another one, so that
    there is nothing for a rule to mend.
    """
    cases = {}
    for number in range(count):
        random = np.random.default_rng([seed, number])
        labels = tumour(random)
        regions = BRATS.to_regions(labels).astype(bool)
        wrong = random.random(SHAPE) < 0.2
        if number % 2:
            masks = [region | (binary_dilation(region) & wrong) for region in regions]
        else:
            masks = [largest(region & (binary_erosion(region) | ~wrong)) for region in regions]
        nested = BRATS.to_regions(BRATS.to_labels(np.stack(masks)))
        levels = np.where(nested, 235, 20).astype(np.uint8)
        cases[f"case_{number:02d}"] = SourceCase({UNCHANGED: levels}, labels, SPACING_MM)
    return MadeUpSource(cases, {name: f"patient_{name[-2:]}" for name in cases})


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected component."""
    components = cc3d.connected_components(mask, connectivity=26)
    return components == np.bincount(components.ravel())[1:].argmax() + 1


def random_params(space: SearchSpace, random: np.random.Generator) -> dict:
    """Any point of the space."""
    params = {}
    for name, of in space.distributions.items():
        if isinstance(of, CategoricalDistribution):
            params[name] = of.choices[random.integers(len(of.choices))]
        elif isinstance(of, IntDistribution):
            params[name] = int(random.integers(of.low, of.high + 1))
        else:
            assert isinstance(of, FloatDistribution) and of.step is not None
            params[name] = of.low + of.step * int(random.integers(round((of.high - of.low) / of.step) + 1))
    return params
