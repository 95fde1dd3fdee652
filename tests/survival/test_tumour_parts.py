"""A glioma's three parts, from the label maps of every year."""

from __future__ import annotations

import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN, convention_named, glioma_labels, plain_labels
from autobrats.errors import UserError
from autobrats.survival.tumour_parts import part_integers, tumour_parts


@pytest.mark.parametrize(
    ("convention", "necrosis", "oedema", "enhancing"),
    [
        ("brats2012", {1, 3}, {2}, {4}),  # the non-enhancing tumour, 3, counts as necrosis
        ("brats2017", {1}, {2}, {4}),
        ("brats2021", {1}, {2}, {4}),
        ("brats2023", {1}, {2}, {3}),
        ("brats2024", {1}, {2}, {3}),  # the resection cavity, 4, is none of them
        ("brats_ped", {2, 3}, {4}, {1}),  # so do cysts, 3
    ],
)
def test_parts_of_a_year(convention: str, necrosis: set[int], oedema: set[int], enhancing: set[int]) -> None:
    known = convention_named(convention)
    assert part_integers(known) == {"NCR": necrosis, "ED": oedema, "ET": enhancing}
    labels = np.array([0, *known.labels.values()], np.uint8).reshape(1, 1, -1)
    parts = tumour_parts(labels, known)
    for part, integers in (("NCR", necrosis), ("ED", oedema), ("ET", enhancing)):
        assert parts[part].dtype == bool
        assert set(labels[parts[part]].tolist()) == integers


def test_labels_named_like_the_parts_are_enough() -> None:
    names = {"peritumoral edema": 3, "necrotic core": 1, "enhancing tumor": 2}
    expected = {"NCR": {1}, "ED": {3}, "ET": {2}}
    convention = glioma_labels(names)
    assert convention is not None
    assert part_integers(convention) == expected
    assert part_integers(plain_labels(names)) == expected


def test_other_labels_are_refused() -> None:
    with pytest.raises(UserError, match="anterior, posterior"):
        part_integers(plain_labels({"anterior": 1, "posterior": 2}))


def test_an_integer_of_another_year_is_refused() -> None:
    with pytest.raises(UserError, match=r"the label 3, which brats2017 does not have \(it has 1, 2, 4\)"):
        tumour_parts(np.full((2, 2, 2), 3, np.uint8), KNOWN["brats2017"])
