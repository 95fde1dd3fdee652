"""A real study as a network sees it."""

from __future__ import annotations

from pathlib import Path

import torch

from autobrats.dataset.reading import read_studies
from autobrats.dataset.volumes import read_study
from autobrats.plan import Preprocessing
from autobrats.preprocessing.transform import preprocess

MODALITIES = ["t1n", "t1c", "t2w", "t2f"]


def prepared_study(realdata: Path) -> torch.Tensor:
    """The first study of BraTS 2023 in voxels of 2 mm, z-scored inside the brain's box: (modality, z, y, x)."""
    (case, *_), _ = read_studies(realdata / "brats_full" / "BraTS2023", MODALITIES)
    study = read_study(case, MODALITIES)
    plan = Preprocessing(crop_to_brain=True, spacing_mm=(2, 2, 2), normalisation={})
    return torch.from_numpy(preprocess(study.images, study.present, study.spacing_mm, plan, MODALITIES).images)
