"""Which radiomic features there are, and the sets of them that make up the published 1022."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.survival.radiomics.features import INTENSITY_FEATURES, SHAPE_FEATURES

TUMOUR_PARTS = ("NCR", "ED", "ET")

LABEL_COMBINATIONS: dict[str, tuple[str, ...]] = {
    "NCR": ("NCR",),
    "ED": ("ED",),
    "ET": ("ET",),
    "NCR+ED": ("NCR", "ED"),
    "TC": ("NCR", "ET"),
    "ED+ET": ("ED", "ET"),
    "WT": ("NCR", "ED", "ET"),
}
"""The seven non-empty combinations of the three parts of a tumour."""


@dataclass(frozen=True)
class FeatureSet:
    """The intensity features (94) or the shape features (26) of one region.

    Attributes:
        kind: which features.
        labels: the region, a key of LABEL_COMBINATIONS.
        modality: of the intensities; None for a shape.
        largest: whether the region's largest connected component is meant (26 neighbours), not all of it.

    Raises:
        ValueError: if the labels or the modality are not known, or do not fit the kind.
    """

    kind: Literal["intensity", "shape"]
    labels: str
    modality: str | None = None
    largest: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("intensity", "shape"):
            raise ValueError(f"A set of features is of the intensity or the shape, not of {self.kind!r}.")
        if self.labels not in LABEL_COMBINATIONS:
            raise ValueError(f"No combination of labels is called {self.labels!r}: {', '.join(LABEL_COMBINATIONS)}.")
        if self.kind == "intensity" and self.modality not in MR_MODALITIES:
            raise ValueError(f"Intensities are of {', '.join(MR_MODALITIES)}, not of {self.modality!r}.")
        if self.kind == "shape" and self.modality is not None:
            raise ValueError(f"A shape has no modality ({self.modality!r}).")

    @property
    def region(self) -> str:
        """What the names of the features begin with, without the modality."""
        return f"{self.labels}_largest" if self.largest else self.labels

    @property
    def prefix(self) -> str:
        """What the names of the features begin with."""
        return self.region if self.modality is None else f"{self.region}_{self.modality}"

    @property
    def features(self) -> tuple[str, ...]:
        """``{class}_{Feature}`` of every feature."""
        classes = INTENSITY_FEATURES if self.kind == "intensity" else SHAPE_FEATURES
        return tuple(f"{name}_{feature}" for name, features in classes.items() for feature in features)

    @property
    def names(self) -> tuple[str, ...]:
        """``{prefix}_{class}_{Feature}`` of every feature."""
        return tuple(f"{self.prefix}_{feature}" for feature in self.features)


_SHOWN_BY = {"NCR": "t1n", "ED": "t2f", "ET": "t1c", "NCR+ED": "t2w", "TC": "t1c", "ED+ET": "t2w", "WT": "t2f"}

PUBLISHED_SETS: tuple[FeatureSet, ...] = (
    *(FeatureSet("intensity", labels, modality) for labels, modality in _SHOWN_BY.items()),
    *(FeatureSet("shape", labels, largest=largest) for largest in (False, True) for labels in LABEL_COMBINATIONS),
)
"""A reading of Anand et al. (2020, section 3.3) that gives its 1022 features.

The paper counts 19 first-order, 75 texture and 26 shape features, and says that combinations of the labels gave 1022, but
not which. In whole numbers 94 a + 26 b = 1022 has one solution: a = 7, b = 14. Each of the seven combinations of labels
therefore has one set of intensity features, in the modality that shows it best, and two sets of shape features.
"""


FEATURE_COLUMNS = ("name", "labels", "components", "modality", "class", "feature")


def feature_names(sets: Sequence[FeatureSet] = PUBLISHED_SETS) -> tuple[str, ...]:
    """The names of all features of the sets, in their order."""
    return tuple(name for feature_set in sets for name in feature_set.names)


def feature_rows(sets: Sequence[FeatureSet] = PUBLISHED_SETS) -> Iterator[tuple[str, str, str, str, str, str]]:
    """What each name means, in the order of FEATURE_COLUMNS; the rows of documentation/radiomics_features.csv."""
    for wanted in sets:
        components = "largest" if wanted.largest else "all"
        for feature in wanted.features:
            of_class, _, of_feature = feature.partition("_")
            name = f"{wanted.prefix}_{feature}"
            yield name, wanted.labels, components, wanted.modality or "", of_class, of_feature
