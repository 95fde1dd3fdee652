"""Whether a model may compute in bfloat16 or 8 bits: checked on cases that its networks never saw."""

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
from autobrats.inference.model_folder import Member, ModelFolder
from autobrats.inference.precision import IN_WORDS, Precision, RoundedPrecision
from autobrats.inference.predictor import Predictor
from autobrats.inference.rounding_file import Rounding, RoundingCheck
from autobrats.planning.splits import Fold, Splits

CALIBRATION_CASES = 4
"""Training cases of every network whose windows show the ranges."""


@dataclass(frozen=True)
class _Outcome:
    """A held-back case predicted by one network: Dice by region, and the seconds."""

    patient: str
    dice: dict[str, float]
    seconds: float


def check_rounding(
    model: ModelFolder,
    dataset: Dataset,
    splits: Splits,
    precisions: Sequence[RoundedPrecision],
    most_predictions: int,
    on_prediction: Callable[[int, int], None] | None = None,
) -> dict[RoundedPrecision, Rounding]:
    """Compare every network of a model with float32 on held-back cases; for 8 bits, calibrate it on training cases first.

    No mirroring, so that the average of the mirrorings hides nothing.

    Args:
        model: whose networks were trained on folds of these splits.
        dataset: with the cases' files.
        splits: which cases each fold held back.
        precisions: to be checked.
        most_predictions: held-back cases in all, divided among the networks.
        on_prediction: called with (studies predicted, in all).

    Raises:
        UserError: if a network was trained on all cases, so that none is held back, too few cases are, or it cannot run in
            these precisions.
    """
    members = model.best_config.members
    for precision in precisions:  # what cannot run is refused before anything is computed
        Predictor(model, device="cpu", mirroring=False, precision=precision)
    folds = [_fold(member, splits) for member in members]
    checked = [_spread(_labelled(dataset, fold.val), max(1, most_predictions // len(members))) for fold in folds]
    calibrated = [_spread(_labelled(dataset, fold.train), CALIBRATION_CASES) for fold in folds]
    if len({case.patient for cases in checked for case in cases}) < 2:
        raise UserError("The check needs held-back cases of two patients or more; train more folds.")
    total = (1 + len(precisions)) * sum(map(len, checked))
    total += sum(map(len, calibrated)) if "int8" in precisions else 0
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_prediction is not None:
            on_prediction(done, total)

    ranges: dict[str, dict[str, Range]] = {member.sha256: {} for member in members}
    if "int8" in precisions:
        for member, cases in zip(members, calibrated, strict=True):
            ranges[member.sha256] = _calibrate(_only(model, member), cases, count)
    every: list[Precision] = ["float32", *precisions]
    outcomes: dict[Precision, list[_Outcome]] = {precision: [] for precision in every}
    for member, cases in zip(members, checked, strict=True):
        _compare(_only(model, member), ranges, cases, outcomes, count)
    none: dict[str, dict[str, Range]] = {member.sha256: {} for member in members}
    return {
        precision: Rounding(
            ranges=ranges if precision == "int8" else none, check=_summary(outcomes["float32"], outcomes[precision])
        )
        for precision in precisions
    }


def _calibrate(model: ModelFolder, cases: Sequence[Case], count: Callable[[], None]) -> dict[str, Range]:
    predictor = Predictor(model, device="cpu", mirroring=False, backend="torch")
    (network,) = predictor.networks
    with ActivationRanges(network) as seen:
        for case in cases:
            predictor.predict(case)
            count()
    return seen.mean()


def _compare(
    model: ModelFolder,
    ranges: dict[str, dict[str, Range]],
    cases: Sequence[Case],
    outcomes: dict[Precision, list[_Outcome]],
    count: Callable[[], None],
) -> None:
    """Predict the cases in every precision, and add what comes of it to the outcomes."""
    predictors = {
        precision: Predictor(
            model,
            device="cpu",
            mirroring=False,
            backend="openvino" if precision == "float32" else "auto",
            precision=precision,
            ranges=ranges,
        )
        for precision in outcomes
    }
    convention = model.plan.convention
    for case in cases:
        reference = read_case_mask(case, model.plan.modalities)
        study = predictors["float32"].prepare(case)
        for precision, predictor in predictors.items():
            started = time.perf_counter()
            prediction = predictor.predict_prepared(study, convention=convention)
            seconds = time.perf_counter() - started
            dice = region_dice(prediction.labels, reference, convention)
            outcomes[precision].append(_Outcome(case.patient, dice, seconds))
            count()
    for precision, predictor in predictors.items():
        if precision != "float32" and predictor.fell_back:
            raise UserError(
                f"This network does not compute in {IN_WORDS[precision]} on this machine (the reason stands above)."
            )


def _summary(exact: Sequence[_Outcome], rounded: Sequence[_Outcome]) -> RoundingCheck:
    differences = np.array(
        [_mean_dice(after) - _mean_dice(before) for before, after in zip(exact, rounded, strict=True)]
    )
    patients = [outcome.patient for outcome in exact]
    low, high = bootstrap_interval(differences, patients)
    by_region = [
        {region: float(np.mean([outcome.dice[region] for outcome in outcomes])) for region in exact[0].dice}
        for outcomes in (exact, rounded)
    ]
    seconds = [float(np.median([outcome.seconds for outcome in outcomes])) for outcomes in (exact, rounded)]
    return RoundingCheck(
        predictions=len(exact),
        patients=len(set(patients)),
        dice_float32=by_region[0],
        dice_rounded=by_region[1],
        difference=float(differences.mean()),
        low=low,
        high=high,
        seconds_float32=seconds[0],
        seconds_rounded=seconds[1],
        processor=processor(),
    )


def _mean_dice(outcome: _Outcome) -> float:
    return float(np.mean(list(outcome.dice.values())))


def _fold(member: Member, splits: Splits) -> Fold:
    if member.fold == "all":
        raise UserError(
            f"{member.configuration} was trained on all cases: none is held back to check on; "
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
