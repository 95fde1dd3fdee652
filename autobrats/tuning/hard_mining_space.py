"""What hard mining may be tuned to, as parameters of an Optuna study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import Trial

from autobrats.plan import Configuration
from autobrats.training.hard_mining import RATE, SHARE, THRESHOLDS
from autobrats.tuning.hard_mining_choice import HardMiningChoice
from autobrats.tuning.hard_mining_voxels import mines_voxels, voxel_share_of

MOST_ROUNDS = 3
RATES = (0.01, 1.0)
VOXEL_SHARES = (0.02, 0.5)
HOOK = "hard_mining"


def planned_choice(configuration: Configuration) -> HardMiningChoice:
    """What a configuration does untuned; without the hook ``hard_mining``, nothing is mined, at the hook's usual rate."""
    voxel_share = voxel_share_of(configuration.loss) if mines_voxels(configuration.loss) else None
    for part in configuration.hooks:
        if part.name == HOOK:
            options = part.options
            return HardMiningChoice(
                thresholds=tuple(options.get("thresholds", THRESHOLDS)),
                rate=options.get("rate", RATE),
                share=options.get("share", SHARE),
                voxel_share=voxel_share,
            )
    return HardMiningChoice(thresholds=(), rate=RATE, share=SHARE, voxel_share=voxel_share)


def opposite_of(planned: HardMiningChoice) -> HardMiningChoice:
    """The same without mining of cases, or, if there is none, with the hook's thresholds: always the second trial."""
    return planned.model_copy(update={"thresholds": () if planned.thresholds else THRESHOLDS})


@dataclass(frozen=True)
class HardMiningSpace:
    """The parameters of a trial; all of them are drawn in every trial, so that their importances can be compared.

    Attributes:
        low, high: Dice values between which the thresholds lie.
        has_voxels: whether the loss can learn from a share of the voxels alone.
        planned: what the configuration does untuned.
    """

    low: float
    high: float
    has_voxels: bool
    planned: HardMiningChoice

    @classmethod
    def of(cls, configuration: Configuration, starting_dice: Sequence[float]) -> HardMiningSpace:
        """The thresholds lie between the 10th and the 90th percentile of the training cases' Dice, and where they were.

        A threshold below all cases or above all of them would mine nothing.

        Args:
            configuration: of the plan.
            starting_dice: of the training cases of all folds, before any fine-tuning.
        """
        planned = planned_choice(configuration)
        low, high = (round(float(value), 2) for value in np.percentile(starting_dice, [10, 90]))
        return cls(
            low=max(0.01, min([low, *planned.thresholds])),
            high=max([high, *planned.thresholds]),
            has_voxels=mines_voxels(configuration.loss),
            planned=planned,
        )

    def parameters_of(self, choice: HardMiningChoice) -> dict[str, Any]:
        """The parameters closest to a choice, for the first trials."""
        thresholds = [min(max(it, self.low), self.high) for it in choice.thresholds or (self.low, self.high)]
        parameters: dict[str, Any] = {
            "rounds": min(len(choice.thresholds), MOST_ROUNDS),
            "first_threshold": thresholds[0],
            "rise": min(max(thresholds[-1] - thresholds[0], 0.0), self.high - self.low),
            "rate": min(max(choice.rate, RATES[0]), RATES[1]),
        }
        if self.has_voxels:
            parameters["mines_voxels"] = choice.voxel_share is not None
            parameters["voxel_share"] = min(max(choice.voxel_share or 0.1, VOXEL_SHARES[0]), VOXEL_SHARES[1])
        return parameters

    def suggest(self, trial: Trial) -> HardMiningChoice:
        """The choice of a trial: from the first to the last threshold in even steps, a round each."""
        rounds = trial.suggest_int("rounds", 0, MOST_ROUNDS)
        first = trial.suggest_float("first_threshold", self.low, self.high)
        last = min(first + trial.suggest_float("rise", 0.0, self.high - self.low), self.high)
        rate = trial.suggest_float("rate", *RATES, log=True)
        voxel_share = None
        if self.has_voxels:
            mines = trial.suggest_categorical("mines_voxels", [False, True])
            drawn = trial.suggest_float("voxel_share", *VOXEL_SHARES, log=True)
            voxel_share = _rounded(drawn) if mines else None
        return HardMiningChoice(
            thresholds=tuple(round(float(it), 2) for it in np.linspace(first, last, rounds)),
            rate=_rounded(rate),
            share=self.planned.share,
            voxel_share=voxel_share,
        )


def _rounded(value: float) -> float:
    """To two digits."""
    return float(f"{value:.2g}")
