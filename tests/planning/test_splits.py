"""Folds: patients stay together, strata are shared out, and a user's own folds are checked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from autobrats.errors import UserError
from autobrats.planning.splits import Fold, Splits, in_no_fold, make_splits, read_splits

PATIENTS = {
    f"case_{patient}_{visit}": f"patient_{patient}" for patient in range(30) for visit in range(1 + patient % 3)
}
GRADES = {case: "HGG" if int(case.split("_")[1]) % 3 else "LGG" for case in PATIENTS}


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_no_patient_is_divided_and_every_case_is_validated_once(n_folds: int) -> None:
    folds = make_splits(PATIENTS, GRADES, n_folds, seed=0).folds
    assert len(folds) == n_folds
    assert Counter(case for fold in folds for case in fold.val) == Counter(list(PATIENTS))
    for fold in folds:
        assert sorted(fold.train + fold.val) == sorted(PATIENTS)
        assert not {PATIENTS[case] for case in fold.train} & {PATIENTS[case] for case in fold.val}


def test_every_fold_has_its_share_of_each_grade() -> None:
    patients = {f"case_{index}": f"patient_{index}" for index in range(50)}
    grades = {case: "LGG" if index < 10 else "HGG" for index, case in enumerate(patients)}
    for fold in make_splits(patients, grades, 5, seed=3).folds:
        assert Counter(grades[case] for case in fold.val) == {"LGG": 2, "HGG": 8}


def test_the_seed_decides() -> None:
    assert make_splits(PATIENTS, GRADES, 5, seed=1) == make_splits(PATIENTS, GRADES, 5, seed=1)
    assert make_splits(PATIENTS, GRADES, 5, seed=1) != make_splits(PATIENTS, GRADES, 5, seed=2)


def test_without_folds_there_are_none() -> None:
    assert make_splits({"a": "p"}, {"a": ""}, 0, seed=0).folds == []


@pytest.mark.parametrize("seed", range(5))
def test_few_patients_of_very_different_sizes_leave_no_fold_empty(seed: int) -> None:
    patients = {f"a{index}": "a" for index in range(9)} | {"b": "b", "c": "c"}
    folds = make_splits(patients, dict.fromkeys(patients, ""), 3, seed).folds
    assert all(fold.train and fold.val for fold in folds)
    assert sorted({patients[case] for fold in folds for case in fold.val}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("strata", "n_folds"), [(["HGG"] * 4 + ["LGG"] * 4, 5), (["a", "a", "b"], 3), (["a", "b"], 2), ([*"abcde"], 5)]
)
def test_strata_smaller_than_the_number_of_folds(strata: list[str], n_folds: int) -> None:
    patients = {f"case{index}": f"patient{index}" for index in range(len(strata))}
    splits = make_splits(patients, dict(zip(patients, strata, strict=True)), n_folds, 0)
    assert len(splits.folds) == n_folds and all(fold.train and fold.val for fold in splits.folds)
    assert sorted(case for fold in splits.folds for case in fold.val) == sorted(patients)


def test_own_folds_in_the_form_of_nnunet(tmp_path: Path) -> None:
    file = tmp_path / "splits_final.json"
    file.write_text(json.dumps([{"train": ["a1", "a2"], "val": ["b"]}, {"train": ["b"], "val": ["a1", "a2"]}]))
    splits = read_splits(file, {"a1": "a", "a2": "a", "b": "b"})
    assert [fold.val for fold in splits.folds] == [["b"], ["a1", "a2"]]


@pytest.mark.parametrize(
    ("folds", "told"),
    [
        ([{"train": ["a1", "b"], "val": ["a2"]}], "patient 'a' has cases in both training and validation of fold 0"),
        ([{"train": ["b", "x"], "val": ["a1"]}], "fold 0 names the case 'x', which the dataset does not have"),
        ([{"train": ["b"], "val": ["c"]}, {"train": ["a1"], "val": ["c"]}], "case 'c' is validated in two folds"),
        ([{"train": ["b"], "val": []}], "fold 0 needs both training and validation cases"),
        ([{"train": ["b"], "val": ["a1"], "test": ["c"]}], "unknown key '0.test'; allowed there: train, val"),
        ([{"train": ["b"]}], "the key '0.val' is missing"),
        ([{"train": ["b", "b"], "val": ["c"]}], "fold 0 lists the case 'b' twice"),
    ],
)
def test_wrong_folds_are_told(tmp_path: Path, folds: list, told: str) -> None:
    file = tmp_path / "splits.json"
    file.write_text(json.dumps(folds))
    with pytest.raises(UserError, match=r"splits\.json") as error:
        read_splits(file, {"a1": "a", "a2": "a", "b": "b", "c": "c"})
    assert told in str(error.value)


def test_cases_in_no_fold() -> None:
    splits = Splits([Fold(train=["a", "b"], val=["c"]), Fold(train=["c"], val=["a", "b"])])
    assert in_no_fold(splits, ["d", "a", "b", "c"]) == ["d"]
    assert in_no_fold(Splits([]), ["a"]) == []
