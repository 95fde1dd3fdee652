"""From logits on the network's grid to a mask file on the study's grid, of WT its largest component, by autobrats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autobrats.dataset.cases import ImageFile
from autobrats.dataset.geometry import Geometry
from autobrats.dataset.known_conventions import KNOWN
from autobrats.dataset.volumes import read_volume
from autobrats.dataset.writing import write_mask
from autobrats.evaluation.probability_file import to_volume
from autobrats.inference.postprocessor import Postprocessor
from autobrats.inference.prediction import decide_labels
from autobrats.plan import Part
from autobrats.preprocessing.transform import Placement, to_study_box
from benchmarks.side_by_side.protocol import measured, serve

CONVENTION = KNOWN["brats2017"]
RULES = Part(name="region_rules", options={"rules": {"WT": {"keep_largest": True}}, "nesting": "clip"})


@dataclass(frozen=True)
class Export:
    """What stays the same from one repetition to the next."""

    logits: str
    placement: Placement
    geometry: Geometry
    postprocessor: Postprocessor
    output: Path


def prepare(options: dict[str, Any]) -> Export:
    """Read what is known of the study, and do it once."""
    export = Export(
        options["logits"],
        Placement.model_validate(options["placement"]),
        read_volume(ImageFile(path=options["image"])).geometry,
        Postprocessor([RULES], CONVENTION),
        Path(options["output"]),
    )
    repeat(export)
    return export


def repeat(export: Export) -> dict[str, Any]:
    """The whole way; the logits are in memory when it begins."""
    logits = torch.from_numpy(np.load(export.logits))
    _, figures = measured(lambda: _export(export, logits))
    return figures


def _export(export: Export, logits: torch.Tensor) -> None:
    placement = export.placement
    levels = to_study_box(logits.sigmoid_().numpy(), placement)
    no_images = np.broadcast_to(np.float32(0), (1, *placement.box_shape))
    levels = export.postprocessor.on_levels(levels, no_images, placement.study_spacing_mm)
    labels = decide_labels(levels, list(CONVENTION.regions), CONVENTION, 0.5)
    write_mask(export.output, to_volume(labels[None], placement.box, placement.study_shape)[0], export.geometry)


if __name__ == "__main__":
    serve(prepare, repeat)
