"""The 1022 names, and how they come about."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from radiomics import featureextractor

from autobrats.survival.feature_table import family_of
from autobrats.survival.radiomics import PUBLISHED_SETS, FeatureSet, feature_names
from autobrats.survival.radiomics.feature_sets import FEATURE_COLUMNS, feature_rows
from autobrats.survival.radiomics.features import INTENSITY_FEATURES, SHAPE_FEATURES

TABLE = Path(__file__).parents[3] / "documentation" / "radiomics_features.csv"


def test_the_paper_s_counts() -> None:
    counts = {name: len(features) for name, features in (INTENSITY_FEATURES | SHAPE_FEATURES).items()}
    assert counts.pop("firstorder") == 19
    assert counts.pop("shape") + counts.pop("shape2D") == 26
    assert counts == {"glcm": 24, "glrlm": 16, "glszm": 16, "gldm": 14, "ngtdm": 5}
    assert sum(counts.values()) == 75


def test_1022_has_one_solution() -> None:
    solutions = [(a, b) for a in range(11) for b in range(40) if 94 * a + 26 * b == 1022]
    kinds = Counter(wanted.kind for wanted in PUBLISHED_SETS)
    assert solutions == [(kinds["intensity"], kinds["shape"])]
    assert len(set(feature_names())) == len(feature_names()) == 1022


def test_every_label_combination_and_modality_is_used() -> None:
    intensities = [wanted for wanted in PUBLISHED_SETS if wanted.kind == "intensity"]
    assert {wanted.modality for wanted in intensities} == {"t1n", "t1c", "t2w", "t2f"}
    assert len({wanted.labels for wanted in intensities}) == 7
    shapes = {(wanted.labels, wanted.largest) for wanted in PUBLISHED_SETS if wanted.kind == "shape"}
    assert len(shapes) == 14


@pytest.mark.parametrize("name", [*INTENSITY_FEATURES, *SHAPE_FEATURES])
def test_the_features_are_those_that_pyradiomics_has(name: str) -> None:
    """All that it enables, and of what it calls redundant what the paper's counts include."""
    has = featureextractor.getFeatureClasses()[name].getFeatureNames()
    enabled = {feature for feature, deprecated in has.items() if not deprecated}
    redundant = {
        "firstorder": {"StandardDeviation"},
        "shape": {"Compactness1", "Compactness2", "SphericalDisproportion"},
        "shape2D": {"SphericalDisproportion"},
    }.get(name, set())
    assert set((INTENSITY_FEATURES | SHAPE_FEATURES)[name]) == enabled - {"VoxelVolume"} | redundant


def test_names_and_their_families() -> None:
    names = feature_names()
    assert {"ET_t1c_firstorder_Mean", "NCR+ED_t2w_glcm_Contrast", "WT_largest_shape_Sphericity"} < set(names)
    assert Counter(family_of(name) for name in names) == {"first_order": 133, "texture": 525, "shape": 364}


def test_the_table_in_the_documentation() -> None:
    with TABLE.open(newline="", encoding="utf-8") as stream:
        heading, *rows = csv.reader(stream)
    assert tuple(heading) == FEATURE_COLUMNS
    assert [tuple(row) for row in rows] == list(feature_rows())
    assert tuple(row[0] for row in rows) == feature_names()


@pytest.mark.parametrize(
    "arguments",
    [
        ("intensity", "ET"),
        ("intensity", "ET", "flair"),
        ("intensity", "RC", "t1c"),
        ("shape", "ET", "t1c"),
        ("texture", "ET", "t1c"),
    ],
)
def test_sets_that_cannot_be(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"set of features|combination|Intensities|shape"):
        FeatureSet(*arguments)  # type: ignore[arg-type]
