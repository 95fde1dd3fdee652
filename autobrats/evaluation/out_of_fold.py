"""Scores of predicted probabilities against a case's own mask, on the study's grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobrats.dataset.cases import Case
from autobrats.dataset.conventions import Convention
from autobrats.dataset.volumes import read_case_mask
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.metrics_file import CaseMetrics, case_metrics
from autobrats.evaluation.probability_file import Box, Shape, to_volume


def score_probabilities(
    case: Case,
    modalities: Sequence[str],
    convention: Convention,
    probabilities: np.ndarray,
    box: Box,
    shape: Shape,
    spacing_mm: tuple[float, float, float],
    fold: int,
) -> CaseMetrics:
    """The metrics of a case with a mask.

    Args:
        modalities: of the plan, in order.
        probabilities: uint8 (0..255), (region, z, y, x) of the box.
        box, shape: where the box lies in the study's volume, and that volume.
        spacing_mm: of the study.
        fold: that the case was held back from.
    """
    labels = to_volume(convention.decide(probabilities)[None], box, shape)[0]
    reference = read_case_mask(case, modalities)
    return case_metrics(case.patient, score_case(labels, reference, convention, spacing_mm), fold)
