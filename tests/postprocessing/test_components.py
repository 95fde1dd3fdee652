"""Which components of which regions stay."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.components import ConnectedComponents
from autobrats.postprocessing.context import PostprocessingContext

BRATS = KNOWN["brats2017"]
SHAPE = (12, 16, 20)


def context(convention=BRATS, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> PostprocessingContext:
    return PostprocessingContext(convention, np.zeros((1, *SHAPE), np.float32), spacing_mm)


def nested() -> np.ndarray:
    """WT of 6 x 6 x 6, 3 x 3 x 3 and 1 voxels; TC and ET inside the first two; soft probabilities around."""
    probabilities = np.full((3, *SHAPE), 0.1, np.float32)
    probabilities[0, 1:7, 1:7, 1:7] = 0.9
    probabilities[1, 2:6, 2:6, 2:6] = 0.8
    probabilities[2, 3:5, 3:5, 3:5] = 0.7
    probabilities[0, 8:11, 11:14, 14:17] = 0.9
    probabilities[1:, 9, 12, 14:17] = 0.6
    probabilities[0, 0, 14, 2] = 0.55
    return probabilities


def sizes(probabilities: np.ndarray) -> list[int]:
    return np.count_nonzero(probabilities > 0.5, axis=(1, 2, 3)).tolist()


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"min_share": 0}, [216 + 27 + 1, 64 + 3, 8 + 3]),
        ({}, [216 + 27, 64 + 3, 8 + 3]),  # a fiftieth of 216 voxels is 4.3, of 64 is 1.3
        ({"min_share": 0.125}, [216 + 27, 64, 8]),  # 27 is exactly an eighth of 216; what leaves TC leaves ET
        ({"min_share": 0.2}, [216, 64, 8]),
        ({"keep": 1}, [216, 64, 8]),
        ({"keep": 2}, [216 + 27, 64 + 3, 8 + 3]),
        ({"min_share": 0, "min_volume_mm3": 3.5}, [216 + 27, 64, 8]),
        ({"min_share": 0, "min_volume_mm3": 27}, [216 + 27, 64, 0]),
        ({"min_share": 0, "min_volume_mm3": {"ET": 9}}, [216 + 27 + 1, 64 + 3, 0]),
        ({"min_share": 0, "min_volume_mm3": {"WT": 28}}, [216, 64, 8]),
        ({"min_share": 0, "min_volume_mm3": 1000}, [0, 0, 0]),
        ({"min_share": 0, "threshold": 0.65, "min_volume_mm3": 9}, [216 + 27 + 1, 64 + 3, 3]),
    ],
)
def test_known_components(options, expected) -> None:
    probabilities = nested()
    found = ConnectedComponents(**options)(probabilities, context())
    np.testing.assert_array_equal(probabilities, nested())
    assert sizes(found) == expected
    changed = found != probabilities
    assert (found[changed] == 0).all()
    assert (probabilities[0][changed.any(0)] > 0.5).all()


def test_volumes_are_in_mm3() -> None:
    found = ConnectedComponents(min_volume_mm3=27, min_share=0)(nested(), context(spacing_mm=(3.0, 1.5, 1.0)))
    assert sizes(found) == [216 + 27, 64, 8]  # a voxel has 4.5 mm3: 3 voxels 13.5, 8 voxels 36


@pytest.mark.parametrize("connectivity, stays", [(6, 8), (18, 12), (26, 14)])
def test_connectivity(connectivity: int, stays: int) -> None:
    probabilities = np.zeros((1, *SHAPE), np.float32)
    probabilities[0, 2:4, 2:4, 2:4] = 1  # 8 voxels
    probabilities[0, 4, 4, 2:4] = 1  # 2 more by an edge
    probabilities[0, 1, 1, 2:4] = 1  # and 2 by another
    probabilities[0, 5, 5, 4] = 1  # 1 by a corner of those
    probabilities[0, 0, 0, 1] = 1  # and 1 by another
    lesion = context(plain_labels({"lesion": 1}))
    assert sizes(ConnectedComponents(keep=1, connectivity=connectivity)(probabilities, lesion)) == [stays]


def test_plain_labels_are_cut_where_they_compete() -> None:
    convention = plain_labels({"a": 1, "b": 2, "c": 3})
    probabilities = np.zeros((3, *SHAPE), np.float32)
    probabilities[:, 2:6, 2:6, 2:6] = np.array([0.4, 0.3, 0.2])[:, None, None, None]  # a, though below a half
    probabilities[:, 9, 9, 9] = (0.2, 0.4, 0.3)  # a speck of b
    probabilities[:, 2, 12, 2:12] = np.array([0.1, 0.7, 0.1])[:, None]
    labels = context(convention)
    found = ConnectedComponents(keep=1)(probabilities, labels)
    before, after = convention.decide(probabilities), convention.decide(found)
    assert before[9, 9, 9] == 2
    assert after[9, 9, 9] == 0
    before[9, 9, 9] = 0
    np.testing.assert_array_equal(after, before)
    assert np.count_nonzero(after == 1) == 64


def test_an_empty_volume_stays_empty() -> None:
    probabilities = np.zeros((3, *SHAPE), np.float32)
    np.testing.assert_array_equal(ConnectedComponents(keep=1)(probabilities, context()), probabilities)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"min_volume_mm3": -1}, "min_volume_mm3 .*-1"),
        ({"min_volume_mm3": {"WT": -5}}, "min_volume_mm3 .*-5"),
        ({"keep": 0}, "keep .*0"),
        ({"keep": 1.5}, "keep .*1.5"),
        ({"min_share": 1.5}, "min_share .*1.5"),
        ({"connectivity": 8}, "connectivity .*8"),
        ({"threshold": 1.0}, "threshold .*1.0"),
    ],
)
def test_wrong_options_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConnectedComponents(**options)


def test_a_region_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="'RC'; there are WT, TC, ET"):
        ConnectedComponents(min_volume_mm3={"RC": 10})(nested(), context())
