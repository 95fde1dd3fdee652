"""Subject-level hard mining: the cases that the network does poorly on are trained on again (Anand et al., 2020)."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from autobrats.files import read_model, write_csv, write_json
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob
from autobrats.training.whole_cases import case_dice

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer

_log = logging.getLogger(__name__)

THRESHOLDS = (0.7, 0.8)
"""Of the Dice, one a round; the paper has two and does not give them."""
SHARE = 0.3
"""Of the steps, of all rounds together."""
RATE = 0.1
"""Learning rate of the rounds, as a share of the peak."""
TIME_SHARE = 0.1
"""Of the time so far that looking for hard cases may take in a training with a time budget; then a sample is looked at."""


class MiningRound(BaseModel):
    """What a round mined.

    Attributes:
        threshold: cases with a lower Dice are hard.
        first_iteration: the steps done before the round.
        looked_at: training cases that were predicted to find the hard ones.
        before: Dice of each mined case when it was mined.
        after: the same after the round; empty while it is under way.
    """

    model_config = ConfigDict(extra="forbid")

    threshold: float
    first_iteration: int
    looked_at: int
    before: dict[str, float]
    after: dict[str, float] = Field(default_factory=dict)


class MiningRecord(BaseModel):
    """hard_mining.json: the rounds in order."""

    model_config = ConfigDict(extra="forbid")

    rounds: list[MiningRound] = Field(default_factory=list)


def hard_cases(dice: Mapping[str, float], threshold: float) -> list[str]:
    """The cases whose Dice is below the threshold, in order of their names.

    Args:
        dice: mean Dice over the regions, by case.
    """
    return [name for name, value in sorted(dice.items()) if value < threshold]


class HardMining(Hook):
    """In the last share of the steps, trains on the hard training cases alone, in one round a threshold.

    At the start of a round every training case is predicted whole; those whose mean Dice over the regions is below the
    round's threshold are its cases. hard_mining.json and hard_mining.csv in the run directory say which, with the Dice
    before and after. Cases of the validation are never looked at.

    Args:
        job: whose training cases.
        thresholds: of the Dice, one a round, raised from round to round.
        share: of the steps, of all rounds together.
        rate: learning rate of the rounds, as a share of the peak.
    """

    def __init__(
        self, job: TrainingJob, thresholds: Sequence[float] = THRESHOLDS, share: float = SHARE, rate: float = RATE
    ) -> None:
        if not thresholds or any(not 0 < threshold <= 1 for threshold in thresholds):
            raise ValueError(f"thresholds must be Dice values above 0 and at most 1, got {list(thresholds)}")
        if not 0 < share < 1:
            raise ValueError(f"share must be above 0 and below 1, got {share}")
        if rate <= 0:
            raise ValueError(f"rate must be above 0, got {rate}")
        self.job, self.thresholds, self.share, self.rate = job, list(thresholds), share, rate
        self.record = MiningRecord()

    def before_training(self, trainer: Trainer) -> None:
        trainer.scheduled_share, trainer.later_rate = 1 - self.share, self.rate
        path = self.job.run.hard_mining_file
        if path.is_file():
            # A round that began after the last checkpoint begins again.
            rounds = read_model(path, MiningRecord).rounds
            self.record.rounds = [it for it in rounds if it.first_iteration <= trainer.iteration]
        self._use_cases_of_last_round(trainer)
        self._begin_if_due(trainer)  # a training may have been asked to stop just before

    def after_step(self, trainer: Trainer) -> None:
        self._begin_if_due(trainer)

    def _begin_if_due(self, trainer: Trainer) -> None:
        number = len(self.record.rounds)
        if number == len(self.thresholds) or trainer.iteration >= trainer.total_iterations:
            return
        if trainer.progress >= 1 - self.share * (1 - number / len(self.thresholds)):
            self._begin_round(trainer, self.thresholds[number])

    def after_training(self, trainer: Trainer) -> None:
        if not trainer.ended_in_order or trainer.stop_reason is not None or not self.record.rounds:
            return
        last = self.record.rounds[-1]
        if not last.after:
            last.after = self._dice(trainer, list(last.before))
        self._write()
        for number, done in enumerate(self.record.rounds, 1):
            self._tell(number, done)

    def _begin_round(self, trainer: Trainer, threshold: float) -> None:
        dice = self._dice(trainer, self._to_look_at(), self._limit_s(trainer))
        if trainer.stop_reason is not None:
            return  # asked to stop meanwhile: the round begins after the restart
        if self.record.rounds:
            before = self.record.rounds[-1]
            missing = [name for name in before.before if name not in dice]
            known = {**dice, **self._dice(trainer, missing)}
            before.after = {name: known[name] for name in before.before}
        self.record.rounds.append(
            MiningRound(
                threshold=threshold,
                first_iteration=trainer.iteration,
                looked_at=len(dice),
                before={name: dice[name] for name in hard_cases(dice, threshold)},
            )
        )
        self._write()
        mined = len(self.record.rounds[-1].before)
        _log.info(
            "%s: hard mining, round %d: %d of %d training cases are below a Dice of %g.",
            self.job.title,
            len(self.record.rounds),
            mined,
            len(dice),
            threshold,
        )
        self._use_cases_of_last_round(trainer)

    def _use_cases_of_last_round(self, trainer: Trainer) -> None:
        """The mined cases; all training cases before the first round, and in a round that found none."""
        mined = list(self.record.rounds[-1].before) if self.record.rounds else []
        names = mined or self.job.training_cases
        if names != trainer.training_cases:
            trainer.use_cases(names)

    def _to_look_at(self) -> list[str]:
        """The training cases in an order by which a part of them is a fair sample."""
        cases = self.job.labelled_cases
        order = np.random.default_rng(self.job.seed_of("hard mining")).permutation(len(cases))
        return [cases[index] for index in order]

    def _limit_s(self, trainer: Trainer) -> float | None:
        has_budget = self.job.configuration.training.max_hours is not None
        return TIME_SHARE * trainer.elapsed_s if has_budget else None

    def _dice(self, trainer: Trainer, names: Sequence[str], limit_s: float | None = None) -> dict[str, float]:
        network = trainer.average.network.eval()
        started = time.perf_counter()
        dice: dict[str, float] = {}
        for name in names:
            is_late = limit_s is not None and dice and time.perf_counter() - started > limit_s
            if trainer.stop_reason is not None or is_late:
                break
            dice[name] = round(case_dice(self.job, network, name), 5)
        trainer.network.train()
        return dice

    def _write(self) -> None:
        write_json(self.job.run.hard_mining_file, self.record)
        rows = (
            [number, done.threshold, name, before, done.after.get(name, "")]
            for number, done in enumerate(self.record.rounds, 1)
            for name, before in done.before.items()
        )
        write_csv(self.job.run.hard_mining_table, ["round", "threshold", "case", "dice_before", "dice_after"], rows)

    def _tell(self, number: int, done: MiningRound) -> None:
        if done.before:
            _log.info(
                "%s: hard mining, round %d: mean Dice of its %d cases %.3f before, %.3f after.",
                self.job.title,
                number,
                len(done.before),
                np.mean(list(done.before.values())),
                np.mean(list(done.after.values())),
            )
