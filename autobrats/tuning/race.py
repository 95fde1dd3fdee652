"""The race of the plan's configurations: successive halving on one fold, over checkpoints that go on if they stay."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.training.cross_validation import CrossValidation
from autobrats.training.fold import start_trainer
from autobrats.training.job import TrainingJob
from autobrats.training.pausing import Pause
from autobrats.training.progress_table import FoldRow, ProgressTable
from autobrats.training.stopping import failure_reason
from autobrats.training.trainer import Trainer
from autobrats.training.watching import Watcher
from autobrats.training.whole_cases import case_dice
from autobrats.tuning.race_record import Contestant, RaceRecord
from autobrats.tuning.studies import open_study
from autobrats.tuning.successive_halving import (
    RUNGS,
    SCORING_SHARE,
    SynchronousHalving,
    field_sizes,
    hours_of_a_fold,
)

LEAST_CASES = 4
"""So many cases are scored however long it takes."""

_log = logging.getLogger(__name__)


class Race:
    """Trains every configuration of the plan to the rungs of one fold; at each, the worse half leaves.

    At a rung a training is paused with its checkpoint and scored on whole validation cases of the fold, all of them or as
    many of a fixed random order as a tenth of the time allows; those that all have scored are compared. Whoever leaves
    keeps the checkpoint, whoever stays goes on from it. Everything is written to race.json as it happens, and an
    interrupted race goes on from there.

    Args:
        training: the dataset and the options; its ``restart`` begins the race anew.
        fold: whose validation cases decide.
        hours: for the race and all folds of the finalists together; a race that goes on keeps the fold's hours that it was
            begun with.
        at_once: folds that are trained at the same time after the race.

    Attributes:
        record: as in race.json.

    Raises:
        UserError: for a fold that is not known, cases that are not preprocessed, a race that was begun otherwise, or
            trainings of the fold that were begun outside it.
    """

    def __init__(self, training: CrossValidation, fold: str, hours: float, at_once: int = 1) -> None:
        self.training, self.fold = training, fold
        names = list(training.plan.configurations)
        if fold not in training.folds:
            raise UserError(f"There is no fold '{fold}' to race on; this dataset has: {', '.join(training.folds)}.")
        training.check(names, [fold])
        self.seed = training.plan.seed if training.options.seed is None else training.options.seed
        self._file = training.folder.race_file
        self._begins = training.options.restart or not self._file.is_file()
        self.record = self._new_record(names, hours, at_once) if self._begins else self._read_record(names)
        self.table = ProgressTable([FoldRow(name, fold) for name in names])

    def run(self) -> bool:
        """Race to the end; False if a training was asked to stop."""
        if self._begins:
            write_json(self._file, self.record)
        rows = {row.name: row for row in self.table.rows}
        with self.table:
            for name, contestant in self.record.configurations.items():
                rows[name].state, rows[name].reason = contestant.state, contestant.reason
            for rung in range(len(self.record.compared), len(self.record.rungs)):
                if len(self.record.racing) <= 1:
                    break
                for name in self.record.racing:
                    is_scored = len(self.record.configurations[name].dice) > rung
                    if not is_scored and not self._train_to(rung, name, rows[name]):
                        return False
                self._decide(rung, rows)
            self._end(rows)
        return True

    # One configuration to one rung.

    def _train_to(self, rung: int, name: str, row: FoldRow) -> bool:
        """Train a configuration to a rung and score it; False if it was asked to stop."""
        contestant, begun = self.record.configurations[name], time.monotonic()
        row.seconds = contestant.seconds
        row.begin()
        pause = Pause(self.record.rungs[rung])
        watcher = Watcher(self.training.run(name, self.fold), partial(self.table.show_progress, row))
        hooks = [pause, watcher]
        job = self.training.job(name, self.fold, self.record.fold_hours, hooks, shows_bar=False)
        try:
            trainer = start_trainer(job, restart=self.training.options.restart and rung == 0)
            trainer.train()
            if trainer.stop_reason is not None and not pause.is_due:
                self.table.change(row, state="stopped", seconds=contestant.seconds + time.monotonic() - begun)
                return False
            self.table.change(row, state="scoring")
            dice = self._score(job, trainer, rung)
            contestant.dice.append(dice)
            contestant.iterations.append(trainer.iteration)
            row.dice = float(np.mean(list(dice.values())))
        except Exception as error:
            contestant.state = "failed"
            contestant.reason = f"failed on the way to rung {rung + 1}: {failure_reason(error)}"
            _log.debug("%s failed.", job.title, exc_info=True)
        contestant.seconds = round(contestant.seconds + time.monotonic() - begun, 1)
        write_json(self._file, self.record)
        state = "failed" if contestant.state == "failed" else "paused"
        self.table.change(row, state=state, reason=contestant.reason, seconds=contestant.seconds)
        return True

    def _score(self, job: TrainingJob, trainer: Trainer, rung: int) -> dict[str, float]:
        """Mean Dice over regions of the first cases, as many as the time allows."""
        network = trainer.average.network.eval()
        limit_s = SCORING_SHARE * self.record.rungs[rung] * self.record.fold_hours * 3600
        begun = time.monotonic()
        dice: dict[str, float] = {}
        for case in self.record.cases:
            if len(dice) >= LEAST_CASES and time.monotonic() - begun > limit_s:
                break
            dice[case] = round(case_dice(job, network, case), 5)
        return dice

    # Who stays.

    def _decide(self, rung: int, rows: dict[str, FoldRow]) -> None:
        """Let the worse half leave."""
        record = self.record
        there = [name for name, it in record.configurations.items() if it.is_at(rung)]
        count = min((len(record.configurations[name].dice[rung]) for name in record.racing), default=0)
        scores: dict[str, float | None] = dict.fromkeys(there)
        for name in record.racing:
            dice = record.configurations[name].dice[rung]
            scores[name] = float(np.mean([dice[case] for case in record.cases[:count]]))
        leave = self._ask_study(rung, scores)
        stay = [name for name in record.racing if name not in leave]
        for name, score in scores.items():
            contestant = record.configurations[name]
            contestant.scores.append(score)
            if name in leave and contestant.state == "racing":
                contestant.state = "left"
                contestant.reason = self._why(rung, score, {other: scores[other] for other in stay})
        record.compared.append(count)
        write_json(self._file, record)
        for name in scores:
            contestant = record.configurations[name]
            if contestant.state == "left":
                self.table.change(rows[name], state="left", reason=contestant.reason)

    def _ask_study(self, rung: int, scores: dict[str, float | None]) -> list[str]:
        """Report the scores to the study; who has to leave. Asked again after a crash, it says the same."""
        study, step = self._study(), round(100 * self.record.rungs[rung])
        trials = self._trials(study)
        for name, score in scores.items():
            if step not in study.trials[trials[name].number].intermediate_values:
                trials[name].report(float("nan") if score is None else score, step)
        pruned = [name for name in scores if trials[name].should_prune()]
        for name in pruned:
            state = TrialState.FAIL if scores[name] is None else TrialState.PRUNED
            study.tell(trials[name].number, state=state, skip_if_finished=True)
        return pruned

    def _study(self) -> optuna.Study:
        sampler = optuna.samplers.RandomSampler(seed=self.seed)
        folder = self.training.folder.tuning / "race"
        return open_study(folder, self.record.study, sampler=sampler, pruner=SynchronousHalving())

    def _trials(self, study: optuna.Study) -> dict[str, optuna.Trial]:
        """The trial of each configuration; asked for in the plan's order, so that ties go to the first."""
        names = list(self.record.configurations)
        known = {trial.params["configuration"]: trial for trial in study.trials if trial.params}
        trials = {name: optuna.Trial(study, trial._trial_id) for name, trial in known.items()}
        distributions: dict[str, BaseDistribution] = {"configuration": CategoricalDistribution(names)}
        for name in names[len(trials) :]:
            study.enqueue_trial({"configuration": name}, skip_if_exists=True)
            trials[name] = study.ask(distributions)
        return trials

    def _why(self, rung: int, score: float | None, stayed: dict[str, float | None]) -> str:
        last, best = min(((name, value or 0.0) for name, value in stayed.items()), key=lambda it: it[1])
        own = score or 0.0
        digits = 3 if round(own, 3) != round(best, 3) else 5
        behind = f"behind {last} with {best:.{digits}f}"
        if own == best:
            behind = f"no better than {last}, which is before it in the plan"
        return f"left at rung {rung + 1} ({self.record.rungs[rung]:.0%}): mean Dice {own:.{digits}f}, {behind}"

    def _end(self, rows: dict[str, FoldRow]) -> None:
        """Those that are left are the finalists."""
        if self.record.is_over:
            return
        study = self._study()
        trials = self._trials(study)
        for name in self.record.racing:
            contestant = self.record.configurations[name]
            contestant.state, contestant.reason = "finalist", "finalist"
            if contestant.scores and contestant.scores[-1] is not None:
                study.tell(trials[name].number, contestant.scores[-1], skip_if_finished=True)
            self.table.change(rows[name], state="finalist")
        write_json(self._file, self.record)

    # The record.

    def _new_record(self, names: Sequence[str], hours: float, at_once: int) -> RaceRecord:
        for name in names:
            run = self.training.run(name, self.fold)
            if not self.training.options.restart and (run.is_finished or run.checkpoint_file.is_file()):
                raise UserError(
                    f"{name} fold {self.fold} was trained before the race, which begins all alike; race on another fold "
                    "with --race-fold, or forget what was trained with --restart."
                )
        cases = self.training.splits.folds[int(self.fold)].val
        order = np.random.default_rng(self.seed).permutation(len(cases))
        rungs = list(RUNGS[: len(field_sizes(len(names)))])
        return RaceRecord(
            fold=int(self.fold),
            seed=self.seed,
            study=f"race {secrets.token_hex(4)}",
            fold_hours=hours_of_a_fold(len(names), len(self.training.folds), hours, at_once),
            rungs=rungs,
            cases=[cases[index] for index in order],
            configurations={name: Contestant() for name in names},
        )

    def _read_record(self, names: Sequence[str]) -> RaceRecord:
        record = read_model(self._file, RaceRecord)
        anew = "or begin it anew with --restart."
        if record.fold != int(self.fold):
            raise UserError(f"The race was begun on fold {record.fold}; go on with --race-fold {record.fold}, {anew}")
        if record.seed != self.seed:
            raise UserError(f"The race was begun with --seed {record.seed}; go on with it, {anew}")
        if list(record.configurations) != list(names):
            before = ", ".join(record.configurations)
            raise UserError(f"The race was begun with other configurations ({before}); go on with those, {anew}")
        return record
