"""The folds: by patient, stratified, or the user's own, checked for leakage."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel

from autobrats.errors import UserError
from autobrats.files import read_model


class Fold(BaseModel):
    """The training and validation cases of one fold."""

    model_config = ConfigDict(extra="forbid")

    train: list[str]
    val: list[str]


class Splits(RootModel[list[Fold]]):
    """splits.json: one entry a fold (nnU-Net's splits_final.json has the same form)."""

    @property
    def folds(self) -> list[Fold]:
        return self.root


def make_splits(patients: Mapping[str, str], strata: Mapping[str, str], n_folds: int, seed: int) -> Splits:
    """Folds that never divide a patient and share out the strata evenly.

    Args:
        patients: patient by case.
        strata: what the folds should be alike in, by case: grade and regions present, say.
        n_folds: how many; 0 if there are too few patients, then only fold ``all`` can be trained.
        seed: of the shuffling.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    if n_folds == 0:
        return Splits([])
    cases = sorted(patients)
    groups = [patients[case] for case in cases]
    folds: list[Fold] = []
    if max(Counter(strata[case] for case in cases).values()) >= n_folds:
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a stratum smaller than the number of folds is no fault here
            folds = _folds(cases, splitter.split(cases, [strata[case] for case in cases], groups))
    if not folds or any(not fold.val for fold in folds):
        # Every stratum is small, or few patients of very different numbers of cases left a stratified fold empty.
        folds = _folds(cases, GroupKFold(n_folds, shuffle=True, random_state=seed).split(cases, groups=groups))
    return Splits(folds)


def make_split(
    patients: Mapping[str, str], strata: Mapping[str, str], shares: tuple[float, float, float], seed: int
) -> Splits:
    """One division into training, validation and test cases, by patient and stratified (Anand et al., 2020: 70:20:10).

    Args:
        patients, strata, seed: as for :func:`make_splits`.
        shares: of the cases, in any unit; what neither trains nor validates is the test set and appears in no fold.

    Raises:
        UserError: if there are too few patients for a training and a validation set.
    """
    parts = 10
    of_validation = max(1, round(parts * shares[1] / sum(shares)))
    of_test = round(parts * shares[2] / sum(shares))
    if len(set(patients.values())) < parts:
        raise UserError(f"One split needs at least {parts} patients; leave --split out, and there will be folds.")
    tenths = [fold.val for fold in make_splits(patients, strata, parts, seed).folds]
    validation = [case for part in tenths[:of_validation] for case in part]
    elsewhere = {case for part in tenths[: of_validation + of_test] for case in part}
    training = [case for case in sorted(patients) if case not in elsewhere]
    return Splits([Fold(train=training, val=sorted(validation))])


def _folds(cases: Sequence[str], divided: Iterable[tuple[Any, Any]]) -> list[Fold]:
    return [Fold(train=[cases[i] for i in train], val=[cases[i] for i in val]) for train, val in divided]


def read_splits(path: Path, patients: Mapping[str, str]) -> Splits:
    """Read folds and check them.

    Raises:
        UserError: for unknown cases, a case or patient on both sides of a fold, or a case validated twice.
    """
    splits = read_model(path, Splits)
    validated: set[str] = set()
    for number, fold in enumerate(splits.folds):
        twice = sorted(case for case, times in Counter([*fold.train, *fold.val]).items() if times > 1)
        if twice:
            where = "in training and in validation" if set(twice) & set(fold.val) & set(fold.train) else "twice"
            raise UserError(f"{path}: fold {number} lists the case '{twice[0]}' {where}; list it once.")
        unknown = sorted({*fold.train, *fold.val} - set(patients))
        if unknown:
            raise UserError(f"{path}: fold {number} names the case '{unknown[0]}', which the dataset does not have.")
        if not fold.train or not fold.val:
            raise UserError(f"{path}: fold {number} needs both training and validation cases.")
        leaked = _patients(fold.train, patients) & _patients(fold.val, patients)
        if leaked:
            raise UserError(
                f"{path}: patient '{sorted(leaked)[0]}' has cases in both training and validation of fold {number}; "
                "keep all of a patient's cases on one side."
            )
        twice = sorted(validated & set(fold.val))
        if twice:
            raise UserError(f"{path}: the case '{twice[0]}' is validated in two folds; it must be in one.")
        validated |= set(fold.val)
    return splits


def in_no_fold(splits: Splits, cases: Iterable[str]) -> list[str]:
    """The cases that no fold trains on or validates."""
    known = {case for fold in splits.folds for case in (*fold.train, *fold.val)}
    return sorted(set(cases) - known) if splits.folds else []


def _patients(cases: Sequence[str], patients: Mapping[str, str]) -> set[str]:
    return {patients[case] for case in cases}
