"""Which metrics say how good a prediction is, and in which direction."""

from __future__ import annotations

from autobrats.errors import UserError
from autobrats.evaluation.panoptic import PANOPTIC_METRICS

HIGHER_IS_BETTER = ("dice", "iou", "sensitivity", "specificity", "precision", "nsd", "lesion_dice", *PANOPTIC_METRICS)
LOWER_IS_BETTER = ("hd95", "hd", "lesion_hd95", "missed_lesions", "false_lesions")
COMPARABLE = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)
"""The metrics by which two predictions can be compared; a volume, for one, is not better when it is larger."""


def direction_of(metric: str) -> int:
    """1 if higher values of the metric are better, -1 if lower ones are.

    Raises:
        UserError: if neither is.
    """
    if metric not in COMPARABLE:
        raise UserError(f"Predictions cannot be compared by '{metric}'; possible: {', '.join(COMPARABLE)}.")
    return 1 if metric in HIGHER_IS_BETTER else -1
