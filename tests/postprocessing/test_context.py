"""What steps are given, and steps in a row."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.context import PostprocessingContext, stages


def context(convention) -> PostprocessingContext:
    return PostprocessingContext(convention, np.zeros((2, 3, 4, 5), np.float32), (1.0, 1.0, 1.0))


def test_regions_inside_others() -> None:
    brats = context(KNOWN["brats_ped"])
    assert brats.regions == ["WT", "TC", "ET", "CC"]
    assert not brats.exclusive
    assert [brats.inner_regions(region) for region in brats.regions] == [[1, 2, 3], [2, 3], [], []]
    plain = context(plain_labels({"a": 1, "b": 2}))
    assert plain.exclusive
    assert plain.members == {"a": [1], "b": [2]}
    assert plain.inner_regions("a") == []


def test_steps_follow_each_other() -> None:
    probabilities = np.full((3, 3, 4, 5), 0.25, np.float32)
    steps = [lambda p, context: p + 0.25, lambda p, context: p * p]
    seen = [values.flat[0] for values in stages(steps, probabilities, context(KNOWN["brats2017"]))]
    assert seen == [0.25, 0.5, 0.25]
    seen = [values.flat[0] for values in stages(steps[::-1], probabilities, context(KNOWN["brats2017"]))]
    assert seen == [0.25, 0.0625, 0.3125]
    assert (probabilities == 0.25).all()


def test_probabilities_on_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3, 4, 6\) for regions on a grid of \(3, 3, 4, 5\)"):
        list(stages([], np.zeros((3, 3, 4, 6), np.float32), context(KNOWN["brats2017"])))
