"""Tuning hard mining (Anand et al., 2020): each trial fine-tunes the finished network of every fold, briefly."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import optuna
import torch
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.plan import Plan
from autobrats.training.stopping import TrainingFailed
from autobrats.tuning.hard_mining_choice import HardMiningChoice, ScoredTrial, make_parts
from autobrats.tuning.hard_mining_fine_tuning import FoldTuning
from autobrats.tuning.hard_mining_folds import open_folds
from autobrats.tuning.hard_mining_pruning import FOLD_DICE, MedianWithoutAnyFold
from autobrats.tuning.hard_mining_result import HardMiningResult, TrialRow, build_result, write_result
from autobrats.tuning.hard_mining_setup import StudySetup, make_setup
from autobrats.tuning.hard_mining_space import HardMiningSpace, opposite_of
from autobrats.tuning.studies import open_study
from autobrats.workspace import DatasetFolder

_log = logging.getLogger(__name__)

RANDOM_TRIALS = 6
"""Before the sampler goes by the scores."""
LEAST_FOR_IMPORTANCES = 10
SETUP, CHOICE, CASE_DICE, SECONDS, SET_ASIDE = "setup", "choice", "case_dice", "seconds", "set_aside"
"""User attributes of the study, and of its trials."""

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class TrialNews:
    """A trial that has ended.

    Attributes:
        row: the trial.
        done, trials: how many have ended, of how many.
        default_dice: of the untuned default on all folds; None before it is complete.
    """

    row: TrialRow
    done: int
    trials: int
    default_dice: float | None


def tune_hard_mining(
    folder: DatasetFolder,
    dataset: Dataset,
    plan: Plan,
    configuration: str,
    *,
    trials: int,
    max_hours: float | None,
    seed: int,
    device: torch.device,
    on_trial: Callable[[TrialNews], None] = lambda news: None,
) -> HardMiningResult:
    """Tune thresholds, rounds, rate and the share of mined voxels on all finished folds of a configuration.

    A trial fine-tunes each fold's finished network for a fixed number of steps and scores it on the fold's held-back cases.
    What is reported for a fold comes from the trial that the other folds have chosen (of a single fold, the halves of its
    patients choose for each other). The study goes on where an earlier call stopped, and several processes can work on it;
    other weights, splits or options begin a new one.

    Args:
        folder, dataset, plan: of the workspace.
        configuration: its name in the plan.
        trials: in the study, those of earlier calls included.
        max_hours: after which no fold of a trial is begun; the untuned default is completed in any case.
        seed: of the sampler, the batches, and the sample of cases where not all are scored.
        device: where to fine-tune.
        on_trial: told of every trial that ends.

    Raises:
        UserError: if no fold is finished, one does not belong to the plan of now, or the default cannot be trained.
        KeyboardInterrupt: if it was asked to stop; what was done is kept.
    """
    started = time.monotonic()
    limit_s = None if max_hours is None else 3600 * max_hours
    files = folder.tuning / "hard_mining" / configuration
    folds = open_folds(folder, dataset, plan, configuration, seed=seed, device=device, files=files)
    patients = {case.name: case.patient for case in dataset.cases}
    pruner = MedianWithoutAnyFold([fold.fold for fold in folds])
    name = f"{configuration}-{_fingerprint(folds, seed)}"
    study = open_study(folder.tuning / "hard_mining", name, pruner=pruner)
    setup = _setup_of(study) or make_setup(folds, patients, trials, limit_s, seed)
    study.set_user_attr(SETUP, setup.model_dump())
    for fold in folds:
        fold.predict_starting([*setup.looked_at[fold.fold], *setup.scored[fold.fold]])
    deadline = None if limit_s is None else started + limit_s
    search = _Search(study, folds, setup, trials, deadline, seed, on_trial)
    search.run()
    scored = search.scored_trials()
    result = build_result(
        configuration,
        setup.steps,
        [_row(trial) for trial in search.ended_trials()],
        scored,
        make_parts(setup.scored, patients, seed),
        patients,
        {fold.fold: fold.starting_dice(setup.scored[fold.fold]) for fold in folds},
        _importances(study, len(scored)),
    )
    write_result(files, result)
    return result


class _Search:
    """The trials of a study, one after the other.

    Args:
        study: opened.
        folds: on which every trial is run.
        setup: that all trials share.
        deadline: by ``time.monotonic``, or None.
        trials, seed, on_trial: of :func:`tune_hard_mining`.
    """

    def __init__(
        self,
        study: optuna.Study,
        folds: Sequence[FoldTuning],
        setup: StudySetup,
        trials: int,
        deadline: float | None,
        seed: int,
        on_trial: Callable[[TrialNews], None],
    ) -> None:
        self.study, self.folds, self.setup, self.trials = study, list(folds), setup, trials
        self.deadline, self.seed, self.on_trial = deadline, seed, on_trial
        dice = [value for fold in folds for value in fold.starting_dice(setup.looked_at[fold.fold]).values()]
        self.space = HardMiningSpace.of(folds[0].job.configuration, dice)
        self.default = self.space.planned
        self._longest_fold_s = 0.0

    def run(self) -> None:
        """Run the trials that are left, the default and its opposite first."""
        if not self.study.trials:
            for choice in (self.default, opposite_of(self.default)):
                self._enqueue(choice)
        has_time = True
        while len(self.ended_trials()) < self.trials and has_time and not self._is_late():
            has_time = self._run_trial()
        while not self._is_default_scored():  # whoever began it was killed, or it was set aside for the time
            if not any(it.user_attrs.get(CHOICE) == _plain(self.default) for it in self._trials(TrialState.WAITING)):
                self._enqueue(self.default)
            self._run_trial()

    def ended_trials(self) -> list[FrozenTrial]:
        """Those that count, in order: complete, pruned or failed, but not set aside."""
        ended = self._trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return [trial for trial in ended if not trial.user_attrs.get(SET_ASIDE) and CHOICE in trial.user_attrs]

    def scored_trials(self) -> list[ScoredTrial]:
        """The complete ones, the default first."""
        scored = [
            ScoredTrial(trial.number, _choice(trial), trial.user_attrs[CASE_DICE])
            for trial in self._trials(TrialState.COMPLETE)
        ]
        return sorted(scored, key=lambda it: (it.choice != self.default, it.number))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _is_default_scored(self) -> bool:
        return any(it.choice == self.default for it in self.scored_trials())

    def _enqueue(self, choice: HardMiningChoice, **facts: Any) -> None:
        self.study.enqueue_trial(self.space.parameters_of(choice), user_attrs={CHOICE: _plain(choice), **facts})

    def _run_trial(self) -> bool:
        """False if there was no time for all of it."""
        trial = self.study.ask()
        # Seeded by the trial, so that it does not matter who draws it, and when.
        seed = zlib.crc32(f"{self.seed}/{trial.number}".encode())
        self.study.sampler = TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS, multivariate=False)
        drawn = self.space.suggest(trial)
        if CHOICE not in trial.user_attrs:
            trial.set_user_attr(CHOICE, _plain(drawn))
        choice = HardMiningChoice(**trial.user_attrs[CHOICE])
        try:
            state = self._run_folds(trial, choice)
        except KeyboardInterrupt:
            self._set_aside(trial, choice)
            raise
        except (TrainingFailed, RuntimeError) as error:
            if choice == self.default:
                self.study.tell(trial, state=TrialState.FAIL)
                raise UserError(f"The plan's own hard mining cannot be trained: {error}") from error
            _log.warning("Trial %d (%s) failed: %s", trial.number, choice.describe(), error)
            state = TrialState.FAIL
        if state is None:
            self._set_aside(trial, choice)
            return False
        value = fmean(trial.user_attrs[FOLD_DICE].values()) if state == TrialState.COMPLETE else None
        self.study.tell(trial, value, state)
        self._tell_news(trial.number)
        return True

    def _run_folds(self, trial: Trial, choice: HardMiningChoice) -> TrialState | None:
        """None if the time is up before the last fold."""
        must_end = choice == self.default
        dice: dict[str, Mapping[str, float]] = dict(trial.user_attrs.get(CASE_DICE) or self._same_before(choice))
        seconds: float = trial.user_attrs.get(SECONDS, 0.0)
        for number, fold in enumerate(self.folds, 1):
            if fold.fold not in dice:
                if self._is_late(self._longest_fold_s) and not must_end:
                    return None
                begun = time.monotonic()
                looked_at, scored = self.setup.looked_at[fold.fold], self.setup.scored[fold.fold]
                dice[fold.fold] = fold.fine_tune(choice, self.setup.steps, looked_at, scored)
                self._longest_fold_s = max(self._longest_fold_s, time.monotonic() - begun)
                seconds += time.monotonic() - begun
            means = {name: round(fmean(values.values()), 6) for name, values in dice.items()}
            for key, value in ((CASE_DICE, dice), (FOLD_DICE, means), (SECONDS, round(seconds, 1))):
                trial.set_user_attr(key, value)
            trial.report(fmean(means.values()), number)
            if number < len(self.folds) and not must_end and trial.should_prune():
                return TrialState.PRUNED
        return TrialState.COMPLETE

    def _same_before(self, choice: HardMiningChoice) -> Mapping[str, Mapping[str, float]]:
        """The scores of a complete trial of the same choice, which would come out the same again."""
        return next((it.dice for it in self.scored_trials() if it.choice == choice), {})

    def _set_aside(self, trial: Trial, choice: HardMiningChoice) -> None:
        """Let a trial that could not be ended be gone on with by the next call."""
        facts = {key: trial.user_attrs[key] for key in (CASE_DICE, FOLD_DICE, SECONDS) if key in trial.user_attrs}
        trial.set_user_attr(SET_ASIDE, True)
        self.study.tell(trial, state=TrialState.FAIL)
        self.study.enqueue_trial(trial.params, user_attrs={CHOICE: _plain(choice), **facts})

    def _is_late(self, needed_s: float = 0.0) -> bool:
        return self.deadline is not None and time.monotonic() + needed_s > self.deadline

    def _tell_news(self, number: int) -> None:
        ended = self.ended_trials()
        default = next((it.value for it in ended if it.value is not None and _choice(it) == self.default), None)
        row = next(_row(trial) for trial in ended if trial.number == number)
        self.on_trial(TrialNews(row, len(ended), self.trials, default))


def _row(trial: FrozenTrial) -> TrialRow:
    states: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    is_complete = trial.state == TrialState.COMPLETE
    return TrialRow(
        number=trial.number,
        state=states.get(trial.state, "failed"),
        choice=_choice(trial),
        dice=round(trial.values[0], 6) if is_complete else None,
        fold_dice=trial.user_attrs.get(FOLD_DICE, {}),
        seconds=trial.user_attrs.get(SECONDS, 0.0),
    )


def _choice(trial: FrozenTrial) -> HardMiningChoice:
    return HardMiningChoice(**trial.user_attrs[CHOICE])


def _plain(choice: HardMiningChoice) -> dict[str, Any]:
    """As the journal gives it back."""
    return choice.model_dump(mode="json")


def _setup_of(study: optuna.Study) -> StudySetup | None:
    return StudySetup(**study.user_attrs[SETUP]) if SETUP in study.user_attrs else None


def _fingerprint(folds: Sequence[FoldTuning], seed: int) -> str:
    """Of everything that the trials' scores depend on."""
    job = folds[0].job
    unimportant = {"why", "postprocessing", "validation", "hooks", "semi_supervision"}
    facts = [
        seed,
        job.configuration.model_dump(mode="json", exclude=unimportant),
        [part.model_dump() for part in job.configuration.hooks if part.name == "hard_mining"],
        [[fold.fold, fold.weights_sha256, fold.job.training_cases, fold.job.validation_cases] for fold in folds],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _importances(study: optuna.Study, complete: int) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al., 2023) of the complete trials; empty if they are few."""
    if complete < LEAST_FOR_IMPORTANCES:
        return {}
    found = optuna.importance.get_param_importances(study)
    return {name: round(float(value), 4) for name, value in found.items()}
