"""A table of features: one row a patient, one column a feature, missing values as NaN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from autobrats.errors import UserError

Family = Literal["clinical", "size", "shape", "first_order", "texture", "other"]
FAMILIES: tuple[Family, ...] = get_args(Family)
CLINICAL_PREFIX = "clinical_"
SIZE_PREFIX = "size_"

_TEXTURES = {"glcm", "glrlm", "gldm", "glszm", "ngtdm"}


@dataclass(frozen=True)
class FeatureTable:
    """Features of patients.

    Attributes:
        patients: of the rows, each once.
        names: of the columns, each once.
        values: float64, shape (patient, feature); NaN where a value is missing.
    """

    patients: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.patients), len(self.names)):
            raise ValueError(
                f"{len(self.patients)} patients and {len(self.names)} features do not fit an array of {self.values.shape}."
            )
        for kind, keys in (("patient", self.patients), ("feature", self.names)):
            if len(set(keys)) < len(keys):
                raise ValueError(f"A {kind} is in the table twice.")

    @property
    def families(self) -> tuple[Family, ...]:
        """Of the columns."""
        return tuple(family_of(name) for name in self.names)

    def column(self, name: str) -> np.ndarray:
        """The values of one feature, shape (patient,)."""
        return self.values[:, self.names.index(name)]

    def select(self, names: Sequence[str]) -> FeatureTable:
        """These columns, in this order.

        Raises:
            UserError: if a column is not in the table.
        """
        places = {name: index for index, name in enumerate(self.names)}
        if missing := [name for name in names if name not in places]:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise UserError(f"The table of features has no column {', '.join(missing[:3])}{more}.")
        return FeatureTable(self.patients, tuple(names), self.values[:, [places[name] for name in names]])

    def rows(self, indices: Sequence[int] | np.ndarray) -> FeatureTable:
        """These rows, in this order."""
        return FeatureTable(tuple(self.patients[index] for index in indices), self.names, self.values[indices])

    def joined(self, other: FeatureTable) -> FeatureTable:
        """The rows of this table with the columns of the other added; NaN for patients that the other lacks.

        Raises:
            ValueError: if a column is in both.
        """
        row_of = {patient: row for row, patient in enumerate(other.patients)}
        added = np.full((len(self.patients), len(other.names)), np.nan)
        for row, patient in enumerate(self.patients):
            if patient in row_of:
                added[row] = other.values[row_of[patient]]
        return FeatureTable(self.patients, self.names + other.names, np.hstack([self.values, added]))


def family_of(name: str) -> Family:
    """The family of a feature, by its name.

    Clinical features begin with ``clinical_``, those of volumes and places with ``size_``; the names of pyradiomics carry
    their class between underscores, as in ``WT_shape_Sphericity`` or ``original_glcm_Contrast``.
    """
    if name.startswith(CLINICAL_PREFIX):
        return "clinical"
    if name.startswith(SIZE_PREFIX):
        return "size"
    parts = set(name.split("_"))
    if parts & {"shape", "shape2D"}:
        return "shape"
    if "firstorder" in parts:
        return "first_order"
    if parts & _TEXTURES:
        return "texture"
    return "other"
