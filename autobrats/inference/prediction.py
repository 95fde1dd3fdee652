"""What a predicted study is, and in which convention its labels are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autobrats.dataset.background import bounding_slices
from autobrats.dataset.convention_detection import conventions_of_names
from autobrats.dataset.conventions import Convention
from autobrats.dataset.geometry import Geometry
from autobrats.dataset.known_conventions import KNOWN
from autobrats.dataset.writing import write_mask, write_probabilities
from autobrats.errors import UserError
from autobrats.evaluation.probability_file import to_volume
from autobrats.preprocessing.transform import SLAB, Box


@dataclass(frozen=True)
class Prediction:
    """A predicted study.

    Attributes:
        name: of the case.
        labels: uint8, canonical (z, y, x), in the integers of ``convention``.
        levels: the probabilities, uint8 (0..255), (region, z, y, x), inside ``box``; outside it they are 0.
        box: the part of the study that the networks saw: (start, stop) along (z, y, x).
        regions: names of the regions that the model knows.
        geometry: of the study, to write the labels with.
        convention: what the labels mean.
        warnings: sentences about this study that its reader should know.
        seconds: from reading to labels, without writing.
    """

    name: str
    labels: np.ndarray
    levels: np.ndarray
    box: Box
    regions: list[str]
    geometry: Geometry
    convention: Convention
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def probabilities(self) -> np.ndarray:
        """uint8 (0..255), (region, z, y, x) on the study's grid, in the order of ``regions``; a new array at every call."""
        z, y, x = self.labels.shape
        return to_volume(self.levels, self.box, (z, y, x))

    def save(self, path: Path, probabilities_path: Path | None = None) -> None:
        """Write the labels (and the region probabilities, 4D) exactly onto the grid of the study's reference image."""
        if probabilities_path is not None:
            write_probabilities(probabilities_path, self.probabilities, self.geometry, self.regions)
        write_mask(path, self.labels, self.geometry)  # last: it says that the study is done


def writing_convention(
    study: str, model: Convention, wanted: Convention | None, convention_of_names: str | None = None
) -> tuple[Convention, str | None]:
    """In which convention a study's labels are written, and a sentence if that is not the model's.

    ``wanted`` if it is given. Else the model's, unless the study's name is that of another year than the training cases'
    names: a BraTS 2023 study predicted by a model of BraTS 2021 has its enhancing tumour written as 3. Only conventions of
    BraTS change like that; a region that only one of the two has is left out, and the sentence says so.

    Args:
        study: its name.
        model: the model's convention.
        wanted: the user's choice.
        convention_of_names: which convention the training cases' names belong to, if to one.

    Raises:
        UserError: if the model does not know a region of ``wanted``.
    """
    if wanted is not None:
        if missing := [region for region in wanted.regions if region not in model.regions]:
            raise UserError(
                f"The model cannot write the convention {wanted.name}: it does not know {', '.join(missing)}; "
                f"it knows {', '.join(model.regions)}."
            )
        return wanted, None
    named = [KNOWN[name] for name in conventions_of_names([study]) if name in KNOWN and name != convention_of_names]
    if not named or model.name not in KNOWN or named[0].labels == model.labels:
        return model, None
    written = _without(named[0], [region for region in named[0].regions if region not in model.regions])
    labels = ", ".join(f"{label} = {integer}" for label, integer in written.labels.items())
    sentence = f"written in the study's convention {written.name} ({labels})"
    for owner, other, regions in (("the model", model, named[0].regions), ("that convention", named[0], model.regions)):
        if missing := [region for region in regions if region not in other.regions]:
            sentence += f", without {', '.join(missing)}, which {owner} does not know"
    return written, sentence


def _without(convention: Convention, regions: list[str]) -> Convention:
    """The convention for somebody who cannot tell some of its regions."""
    paint = [(region, integer) for region, integer in convention.paint if region not in regions]
    written = {integer for _, integer in paint}
    return convention.model_copy(
        update={
            "labels": {label: integer for label, integer in convention.labels.items() if integer in written},
            "regions": {region: of for region, of in convention.regions.items() if region not in regions},
            "paint": paint,
        }
    )


def decide_labels(
    probabilities: np.ndarray, regions: list[str], convention: Convention, threshold: float
) -> np.ndarray:
    """The label map, uint8 (z, y, x), of probabilities, uint8 (region, z, y, x), a slab at a time."""
    rows = [regions.index(region) for region in convention.regions]
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    for start in range(0, len(labels), SLAB):
        slab = probabilities[:, start : start + SLAB]
        box = bounding_slices(slab.max(0))
        if box is not None:
            inside = np.stack([slab[(row, *box)] for row in rows])
            labels[start : start + SLAB][box] = convention.decide(inside, threshold)
    return labels
