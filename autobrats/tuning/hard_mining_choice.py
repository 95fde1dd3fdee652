"""Choosing between fine-tunings by their scores, and what a choice is worth on patients that it did not see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from pydantic import BaseModel, ConfigDict

HALVES = ("first half", "second half")


class HardMiningChoice(BaseModel):
    """One set of parameters.

    Attributes:
        thresholds: of the Dice, one a round; none: all training cases are trained on, nothing is mined.
        rate: learning rate of the rounds, as a share of the peak.
        share: of a training's steps, that the rounds take.
        voxel_share: of the voxels, the hardest, that the loss learns from; None for all of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    thresholds: tuple[float, ...]
    rate: float
    share: float
    voxel_share: float | None = None

    @property
    def mines(self) -> bool:
        """Whether cases or voxels are chosen for being hard."""
        return bool(self.thresholds) or self.voxel_share is not None

    def describe(self) -> str:
        """For people: ``cases below a Dice of 0.7, then 0.8, rate 0.1``."""
        rounds = ", then ".join(f"{threshold:g}" for threshold in self.thresholds)
        parts = [f"cases below a Dice of {rounds}" if rounds else "all cases", f"rate {self.rate:g}"]
        if self.voxel_share is not None:
            parts.append(f"the hardest {100 * self.voxel_share:g} % of the voxels")
        return ", ".join(parts)


@dataclass(frozen=True)
class ScoredTrial:
    """A trial that was run on every fold.

    Attributes:
        number: in its study.
        choice: what was tried.
        dice: of the held-back cases, by fold and case; the mean over the regions.
    """

    number: int
    choice: HardMiningChoice
    dice: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class HeldBackPart:
    """Held-back cases that are judged together by a choice which has not seen their patients: a fold, or half of one."""

    name: str
    fold: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class JudgedPart:
    """What a part says of the trial that the other parts have chosen.

    Attributes:
        part: whose cases.
        reference, chosen: the trials that are compared.
    """

    part: HeldBackPart
    reference: ScoredTrial
    chosen: ScoredTrial

    @property
    def reference_dice(self) -> list[float]:
        """One value a case."""
        return _dice(self.reference, self.part, self.part.cases)

    @property
    def chosen_dice(self) -> list[float]:
        """One value a case."""
        return _dice(self.chosen, self.part, self.part.cases)

    @property
    def differences(self) -> list[float]:
        """Of the chosen trial over the reference, one value a case."""
        return [new - old for new, old in zip(self.chosen_dice, self.reference_dice, strict=True)]


def make_parts(held_back: Mapping[str, Sequence[str]], patients: Mapping[str, str], seed: int) -> list[HeldBackPart]:
    """The folds; a single one is divided in halves, by patient.

    Args:
        held_back: the scored cases by fold.
        patients: patient by case.
        seed: of the halves.
    """
    if len(held_back) != 1:
        return [HeldBackPart(f"fold {fold}", fold, tuple(cases)) for fold, cases in held_back.items()]
    ((fold, cases),) = held_back.items()
    owners = sorted({patients[case] for case in cases})
    in_first = set(np.random.default_rng(seed).permutation(owners)[: (len(owners) + 1) // 2].tolist())
    halves = [[case for case in cases if (patients[case] in in_first) is first] for first in (True, False)]
    named = zip(HALVES, halves, strict=True)
    return [HeldBackPart(f"fold {fold}, {name}", fold, tuple(half)) for name, half in named if half]


def best_trial(
    trials: Sequence[ScoredTrial], parts: Sequence[HeldBackPart], without: frozenset[str] = frozenset()
) -> ScoredTrial:
    """The trial with the highest Dice, the mean over the parts of the mean over their cases; of equal ones, the first.

    Args:
        trials: in the order in which they win ties.
        parts: that are looked at.
        without: cases of them that are not.
    """
    seen = [(part, [case for case in part.cases if case not in without]) for part in parts]
    return max(trials, key=lambda trial: _mean(fmean(_dice(trial, part, cases)) for part, cases in seen if cases))


def judge(
    trials: Sequence[ScoredTrial],
    references: Sequence[ScoredTrial],
    parts: Sequence[HeldBackPart],
    patients: Mapping[str, str],
) -> list[JudgedPart]:
    """For each part, what the other parts' cases choose, of patients that are not in it; a nested estimate.

    Args:
        trials: that may be chosen, in the order in which they win ties.
        references: that the choice is compared with: the best of them by the same cases.
        parts: of :func:`make_parts`.
        patients: patient by case.

    Returns:
        One a part; nothing if there is a single part, which leaves nothing to choose by.
    """
    judged = []
    for part in parts:
        own = {patients[case] for case in part.cases}
        others = [other for other in parts if other is not part]
        without = frozenset(case for other in others for case in other.cases if patients[case] in own)
        if any(set(other.cases) - without for other in others):
            reference, chosen = (best_trial(candidates, others, without) for candidates in (references, trials))
            judged.append(JudgedPart(part, reference, chosen))
    return judged


def _dice(trial: ScoredTrial, part: HeldBackPart, cases: Sequence[str]) -> list[float]:
    return [trial.dice[part.fold][case] for case in cases]


def _mean(values: Iterable[float]) -> float:
    # Rounded, so that sums in another order do not decide between equal trials.
    return round(fmean(values), 9)
