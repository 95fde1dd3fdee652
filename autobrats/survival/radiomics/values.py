"""The values of a pyradiomics class: NaN where it has none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import numpy as np
from radiomics.base import RadiomicsFeaturesBase


def feature_values(name: str, features: Iterable[str], build: Callable[[], RadiomicsFeaturesBase]) -> dict[str, float]:
    """``{class}_{Feature}`` of a class of features, as pyradiomics computes them.

    Args:
        name: of the class.
        features: the wanted ones.
        build: makes the class' instance. If it or the common matrix fails, all features are NaN; if one feature fails or
            is infinite, that one is.
    """
    values = dict.fromkeys((f"{name}_{feature}" for feature in features), float("nan"))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            instance = build()
            instance._initCalculation()
        # pyradiomics and its C functions raise whatever they like on a region that is too small for them.
        except Exception:
            return values
        for feature in features:
            try:
                value = np.squeeze(getattr(instance, f"get{feature}FeatureValue")())
            except Exception:
                continue
            values[f"{name}_{feature}"] = float(value.real) if np.isfinite(value) else float("nan")
    return values
