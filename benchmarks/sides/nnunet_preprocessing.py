"""nnU-Net's preprocessing of single cases, without the command around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from benchmarks.side_by_side.nnunet_plan import CONFIGURATION, brats_dataset, brats_images, brats_mask, plans


def run_case(study: Path, patch: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """A BraTS study's images, float32 (modality, z, y, x), and its labels, (z, y, x), -1 outside the brain."""
    manager = PlansManager(plans(patch, 2))
    data, segmentation, _ = DefaultPreprocessor(verbose=False).run_case(
        [str(path) for path in brats_images(study)],
        str(brats_mask(study)),
        manager,
        manager.get_configuration(CONFIGURATION),
        brats_dataset(),
    )
    return data, segmentation[0]


def save_case(
    name: str, images: list[str], mask: str, folder: str, plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    """Read, preprocess and store one case."""
    manager = PlansManager(plans)
    DefaultPreprocessor(verbose=False).run_case_save(
        str(Path(folder) / name), images, mask, manager, manager.get_configuration(CONFIGURATION), dataset
    )
