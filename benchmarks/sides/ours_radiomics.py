"""The 1022 radiomic features of a study by autobrats, normalisation and largest components included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autobrats.survival.radiomics import radiomic_features
from benchmarks.side_by_side.protocol import measured, serve


@dataclass(frozen=True)
class Study:
    """Images by modality and masks by part of the tumour, (z, y, x), and spacing in mm."""

    images: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    spacing_mm: tuple[float, float, float]


def prepare(options: dict[str, Any]) -> Study:
    """Read the study (``images``, ``masks``: .npy files by name)."""
    images, masks = ({name: np.load(path) for name, path in options[kind].items()} for kind in ("images", "masks"))
    return Study(images, masks, tuple(options["spacing_mm"]))


def repeat(study: Study) -> dict[str, Any]:
    """All features; ``values`` by name."""
    result, figures = measured(lambda: radiomic_features(study.images, study.masks, study.spacing_mm))
    return figures | {"values": {name: float(value) for name, value in result.values.items()}}


if __name__ == "__main__":
    serve(prepare, repeat)
