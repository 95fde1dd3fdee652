"""Regions in slices that the classification branch clears."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.context import PostprocessingContext
from autobrats.postprocessing.slice_gate import SliceGate

SHAPE = (3, 4, 5)


def context(axis: int, convention=KNOWN["brats2017"]) -> PostprocessingContext:
    slices = np.full((len(convention.regions), SHAPE[axis]), 0.9, np.float32)
    images = np.zeros((1, *SHAPE), np.float32)
    return PostprocessingContext(convention, images, (1.0, 1.0, 1.0), slices, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_loses_a_region_and_those_inside_it(axis: int) -> None:
    given = context(axis)
    given.slices[1, 2] = 0.49  # no TC in the third slice
    given.slices[2, 0] = 0.5  # at the threshold: ET stays
    probabilities = np.random.default_rng(0).uniform(0.1, 1, (3, *SHAPE)).astype(np.float32)
    kept = probabilities.copy()
    found = SliceGate()(probabilities, given)
    np.testing.assert_array_equal(probabilities, kept)
    expected = probabilities.copy()
    index = [slice(None)] * 3
    index[axis] = 2
    expected[(1, *index)] = expected[(2, *index)] = 0
    np.testing.assert_array_equal(found, expected)


def test_plain_labels_go_one_by_one_and_the_threshold_counts() -> None:
    given = context(0, plain_labels({"a": 1, "b": 2}))
    given.slices[:] = [[0.2, 0.9, 0.9], [0.9, 0.9, 0.1]]
    probabilities = np.full((2, *SHAPE), 0.4, np.float32)
    present = SliceGate(0.15)(probabilities, given).any((2, 3))
    assert present.tolist() == [[True, True, True], [True, True, False]]


def test_a_network_without_the_branch_is_named() -> None:
    given = dataclasses.replace(context(0), slices=None)
    with pytest.raises(ValueError, match="slice-classification branch"):
        SliceGate()(np.zeros((3, *SHAPE), np.float32), given)


def test_slices_that_do_not_fit_are_refused() -> None:
    given = dataclasses.replace(context(0), slice_axis=1)
    with pytest.raises(ValueError, match=r"\(3, 3\), not \(3, 4\)"):
        SliceGate()(np.zeros((3, *SHAPE), np.float32), given)


def test_wrong_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold .*1.5"):
        SliceGate(threshold=1.5)
