"""Whether a model may compute in 8 bits: calibrated on training cases, checked on cases that its networks never saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.volumes import read_case_mask
from autobrats.errors import UserError
from autobrats.evaluation.overlap import region_dice
from autobrats.evaluation.summary import bootstrap_interval
from autobrats.inference.backends.kept_models import processor
from autobrats.inference.int8 import ActivationRanges, Range
from autobrats.inference.int8_file import Int8, Int8Check
from autobrats.inference.model_folder import Member, ModelFolder
from autobrats.inference.predictor import Predictor
from autobrats.planning.splits import Fold, Splits

CALIBRATION_CASES = 4
"""Training cases of every network whose windows show the ranges."""


@dataclass(frozen=True)
class _Pair:
    """A held-back case predicted by one network, in float32 and in 8 bits."""

    patient: str
    dice: tuple[dict[str, float], dict[str, float]]
    seconds: tuple[float, float]


def check_int8(
    model: ModelFolder,
    dataset: Dataset,
    splits: Splits,
    most_predictions: int,
    on_prediction: Callable[[int, int], None] | None = None,
) -> Int8:
    """Calibrate every network of a model on training cases, and compare it with float32 on held-back cases.

    No mirroring, so that the average of the mirrorings hides nothing.

    Args:
        model: whose networks were trained on folds of these splits.
        dataset: with the cases' files.
        splits: which cases each fold held back.
        most_predictions: held-back cases in all, divided among the networks.
        on_prediction: called with (studies predicted, in all).

    Raises:
        UserError: if a network was trained on all cases, so that none is held back, too few cases are, or it cannot run in
            8 bits.
    """
    members = model.best_config.members
    # Refuses what cannot run in 8 bits before anything is computed.
    Predictor(model, device="cpu", mirroring=False, int8={member.sha256: {} for member in members})
    folds = [_fold(member, splits) for member in members]
    checked = [_spread(_labelled(dataset, fold.val), max(1, most_predictions // len(members))) for fold in folds]
    calibrated = [_spread(_labelled(dataset, fold.train), CALIBRATION_CASES) for fold in folds]
    if len({case.patient for cases in checked for case in cases}) < 2:
        raise UserError("The check needs held-back cases of two patients or more; train more folds.")
    total = sum(map(len, calibrated)) + 2 * sum(map(len, checked))
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_prediction is not None:
            on_prediction(done, total)

    ranges: dict[str, dict[str, Range]] = {}
    for member, cases in zip(members, calibrated, strict=True):
        ranges[member.sha256] = _calibrate(_only(model, member), cases, count)
    pairs = [
        pair
        for member, cases in zip(members, checked, strict=True)
        for pair in _compare(_only(model, member), ranges, cases, count)
    ]
    return Int8(ranges=ranges, check=_summary(pairs))


def _calibrate(model: ModelFolder, cases: Sequence[Case], count: Callable[[], None]) -> dict[str, Range]:
    predictor = Predictor(model, device="cpu", mirroring=False, backend="torch")
    (network,) = predictor.networks
    with ActivationRanges(network) as seen:
        for case in cases:
            predictor.predict(case)
            count()
    return seen.mean()


def _compare(
    model: ModelFolder, ranges: dict[str, dict[str, Range]], cases: Sequence[Case], count: Callable[[], None]
) -> list[_Pair]:
    exact = Predictor(model, device="cpu", mirroring=False, backend="openvino")
    rounded = Predictor(model, device="cpu", mirroring=False, int8=ranges)
    convention, pairs = model.plan.convention, []
    for case in cases:
        reference = read_case_mask(case, model.plan.modalities)
        study, dice, seconds = exact.prepare(case), [], []
        for predictor in (exact, rounded):
            started = time.perf_counter()
            prediction = predictor.predict_prepared(study, convention=convention)
            seconds.append(time.perf_counter() - started)
            dice.append(region_dice(prediction.labels, reference, convention))
            count()
        pairs.append(_Pair(case.patient, (dice[0], dice[1]), (seconds[0], seconds[1])))
    if rounded.fell_back:
        raise UserError("This network does not compute in 8 bits on this machine (the reason stands above).")
    return pairs


def _summary(pairs: Sequence[_Pair]) -> Int8Check:
    differences = np.array(
        [
            np.mean(list(rounded.values())) - np.mean(list(exact.values()))
            for exact, rounded in (pair.dice for pair in pairs)
        ]
    )
    patients = [pair.patient for pair in pairs]
    low, high = bootstrap_interval(differences, patients)
    exact, rounded = (
        {region: float(np.mean([pair.dice[which][region] for pair in pairs])) for region in pairs[0].dice[which]}
        for which in (0, 1)
    )
    return Int8Check(
        predictions=len(pairs),
        patients=len(set(patients)),
        dice_float32=exact,
        dice_int8=rounded,
        difference=float(differences.mean()),
        low=low,
        high=high,
        seconds_float32=float(np.median([pair.seconds[0] for pair in pairs])),
        seconds_int8=float(np.median([pair.seconds[1] for pair in pairs])),
        processor=processor(),
    )


def _fold(member: Member, splits: Splits) -> Fold:
    if member.fold == "all":
        raise UserError(
            f"{member.configuration} was trained on all cases: none is held back to check 8 bits on; "
            "choose a model of folds with autobrats_find_best_config."
        )
    if member.fold >= len(splits.folds):
        raise UserError(
            f"{member.configuration} was trained on fold {member.fold}, which the dataset's splits do not have: they were "
            "made anew since; train and choose a model again."
        )
    return splits.folds[member.fold]


def _only(model: ModelFolder, member: Member) -> ModelFolder:
    """The model with one network."""
    return replace(model, best_config=model.best_config.model_copy(update={"members": [member]}))


def _labelled(dataset: Dataset, names: Sequence[str]) -> list[Case]:
    return [case for case in map(dataset.case, names) if case.mask is not None]


def _spread(cases: Sequence[Case], most: int) -> list[Case]:
    """So many cases, evenly from the whole list."""
    if len(cases) <= most:
        return list(cases)
    return [cases[round(index * (len(cases) - 1) / max(1, most - 1))] for index in range(most)]
