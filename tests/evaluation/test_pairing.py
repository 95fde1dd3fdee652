"""Pairs by case name, and what has no partner."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.errors import UserError
from autobrats.evaluation.label_maps import LabelMaps
from autobrats.evaluation.pairing import pair_label_maps


def maps(root: Path, *cases: str) -> LabelMaps:
    return LabelMaps(root, {case: root / f"{case}.nii.gz" for case in cases}, {case: f"of {case}" for case in cases})


def test_what_has_no_partner_is_kept_apart() -> None:
    pairing = pair_label_maps(maps(Path("p"), "b", "c", "x"), maps(Path("r"), "a", "b", "c"))
    assert [(pair.case, pair.prediction and pair.prediction.name) for pair in pairing.pairs] == [
        ("a", None),
        ("b", "b.nii.gz"),
        ("c", "c.nii.gz"),
    ]
    assert pairing.without_prediction == ["a"] and list(pairing.without_reference) == ["x"]
    assert pairing.pairs[0].patient == "of a"


def test_a_single_file_says_which_case_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "b.nii.gz"
    file.touch()
    one = LabelMaps(file, {"b": file}, {"b": "b"})
    assert [pair.case for pair in pair_label_maps(one, maps(Path("r"), "a", "b")).pairs] == ["b"]
    assert not pair_label_maps(maps(Path("p"), "a", "b"), one).without_reference
    other = tmp_path / "reference.nii.gz"
    other.touch()
    pairing = pair_label_maps(one, LabelMaps(other, {"somebody": other}, {"somebody": "somebody"}))
    assert [(pair.case, pair.prediction) for pair in pairing.pairs] == [("somebody", file)]


def test_nothing_to_pair_and_a_file_with_itself() -> None:
    with pytest.raises(UserError, match=r"the predictions are called a, the references b, c; name them alike"):
        pair_label_maps(maps(Path("p"), "a"), maps(Path("r"), "b", "c"))
    with pytest.raises(UserError, match="the same file"):
        pair_label_maps(maps(Path("p"), "a"), maps(Path("p"), "a"))
