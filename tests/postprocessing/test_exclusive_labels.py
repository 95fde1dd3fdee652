"""Region probabilities as label probabilities and back."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.exclusive_labels import ExclusiveLabels


def test_nested_regions_become_their_differences() -> None:
    labels = ExclusiveLabels(KNOWN["brats2017"]).of_regions(np.array([[0.9], [0.6], [0.25]], np.float32))
    assert sorted(labels[0].tolist()) == pytest.approx(sorted([0.1, 0.3, 0.35, 0.25]))
    assert labels[0, 0] == pytest.approx(0.1)  # the background comes first


def test_plain_labels_keep_their_probabilities_and_leave_the_rest_to_the_background() -> None:
    exclusive = ExclusiveLabels(plain_labels({"anterior": 1, "posterior": 2}))
    labels = exclusive.of_regions(np.array([[0.5], [0.2]], np.float32))
    assert labels[0, 0] == pytest.approx(0.3)
    np.testing.assert_allclose(exclusive.to_regions(labels), [[0.5], [0.2]], atol=1e-6)


def test_labels_of_the_same_regions_are_one() -> None:
    assert ExclusiveLabels(KNOWN["brats2012"]).membership.shape == (3, 4)  # NCR and NET together
    assert ExclusiveLabels(KNOWN["brats2024"]).membership.shape == (4, 5)
    assert ExclusiveLabels(plain_labels({"lesion": 1})).membership.tolist() == [[0, 1]]


@pytest.mark.parametrize("name", KNOWN)
def test_any_mixture_of_labels_comes_back(name: str) -> None:
    convention = KNOWN[name]
    integers = [0, *convention.labels.values()]
    shares = np.random.default_rng(0).dirichlet(np.full(len(integers), 0.3), 200)
    members = [np.isin(integers, region) for region in convention.regions.values()]
    regions = np.stack([shares[:, inside].sum(1) for inside in members]).astype(np.float32)
    exclusive = ExclusiveLabels(convention)
    labels = exclusive.of_regions(regions)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(exclusive.to_regions(labels), regions, atol=1e-5)


def test_regions_that_cross_come_back() -> None:
    convention = Convention(name="crossing", labels={}, regions={"A": [1, 2], "B": [2, 3]}, paint=[])
    exclusive = ExclusiveLabels(convention)
    regions = np.array([[0.5], [0.4]], np.float32)
    np.testing.assert_allclose(exclusive.to_regions(exclusive.of_regions(regions)), regions, atol=1e-6)


def test_contradictions_meet_in_the_middle() -> None:
    exclusive = ExclusiveLabels(KNOWN["brats2017"])
    # background 0.6, ED -0.2, NCR 0.5, ET 0.1: without the negative one and over their sum of 1.2
    regions = exclusive.to_regions(exclusive.of_regions(np.array([[0.4], [0.6], [0.1]], np.float32)))
    np.testing.assert_allclose(regions[:, 0], [0.5, 0.5, 0.1 / 1.2], atol=1e-6)
