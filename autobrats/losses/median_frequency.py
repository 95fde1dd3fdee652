"""Median-frequency balancing: weights that make up for how rare a class is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median


def median_frequency_weights(frequency: Mapping[str, float]) -> dict[str, float]:
    """The weight of each class, median(frequency) / frequency (Eigen and Fergus, ICCV 2015, section 4.3.3).

    The class of median frequency weighs 1, rarer ones more. A class that never occurs has no part in the median and
    weighs 0: there is nothing to learn of it, and its weight by the formula would be infinite.

    Args:
        frequency: by class, its share of the voxels (of the images that have it, in Eigen and Fergus); any common unit.

    Raises:
        ValueError: if a frequency is negative or not finite, or no class occurs.
    """
    for name, value in frequency.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"The frequency of {name} must be finite and not negative, got {value}")
    occurring = [value for value in frequency.values() if value > 0]
    if not occurring:
        raise ValueError(f"No class occurs: {dict(frequency)}")
    middle = median(occurring)
    return {name: middle / value if value > 0 else 0.0 for name, value in frequency.items()}
