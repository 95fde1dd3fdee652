"""Optuna studies in the workspace: a journal file that several processes or machines may share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

JOURNAL = "journal.log"
Direction = Literal["maximize", "minimize"]


def open_study(
    folder: Path,
    name: str,
    *,
    directions: Sequence[Direction] = ("maximize",),
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """The study of that name in ``folder``, begun or gone on with.

    It lies in ``journal.log``, one JSON object a line, which may be on a shared disk: all who open a study by the same
    name work on it together.

    Args:
        folder: where the journal lies; made if it is not there.
        name: of the study; one journal may hold many.
        directions: ``maximize`` or ``minimize``, one an objective.
        sampler, pruner: of this process.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=list(directions),
        sampler=sampler,
        pruner=pruner,
        load_if_exists=True,
    )


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to an end, in order; those that a pruner ended early included."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


class FastSearch:
    """A stored study whose trials take milliseconds: they are sampled in memory and stored whole, with one write each.

    A trial that was interrupted leaves no trace. What other processes store meanwhile is taken into account.

    Args:
        folder, name, directions: as in :func:`open_study`.
        distributions: of all parameters.
        first: parameters of the first trials, in order; trial 0 should be what there is without a search.
        seed: of the sampler, a multivariate tree-structured Parzen estimator (Falkner et al. 2018, arXiv:1807.01774).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        distributions: Mapping[str, BaseDistribution],
        first: Sequence[Mapping[str, Any]],
        *,
        directions: Sequence[Direction] = ("maximize",),
        seed: int = 0,
    ) -> None:
        self._stored = open_study(folder, name, directions=directions)
        self._distributions, self._first, self._own = dict(distributions), list(first), secrets.token_hex(8)
        self._seen = 0
        self._memory = optuna.create_study(directions=list(directions))
        self._take_stored()
        # A search that goes on draws other parameters than the ones it began with.
        sampler = optuna.samplers.TPESampler(
            seed=seed + self._seen, multivariate=True, n_startup_trials=len(first) + 10
        )
        self._memory.sampler = sampler

    @property
    def trials(self) -> list[FrozenTrial]:
        """All finished trials that are known, in the order in which they were stored."""
        return finished_trials(self._stored)

    @property
    def study(self) -> optuna.Study:
        """The finished trials in memory, for importances and the like."""
        return self._memory

    def ask(self) -> Trial:
        """The next trial to run; its parameters are in ``trial.params``."""
        self._take_stored()
        known = [trial.params for trial in self._memory.get_trials(deepcopy=False)]
        if following := next((params for params in self._first if params not in known), None):
            self._memory.enqueue_trial(dict(following))
        return self._memory.ask(fixed_distributions=self._distributions)

    def tell(self, trial: Trial, values: Sequence[float], facts: Mapping[str, Any]) -> None:
        """Store a trial's values and plain ``facts`` about it."""
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        self._memory.tell(trial, list(values))
        self._stored.add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=self._distributions,
                values=list(values),
                user_attrs={**facts, "by": self._own},
            )
        )

    def _take_stored(self) -> None:
        stored = finished_trials(self._stored)
        for trial in stored[self._seen :]:
            if trial.user_attrs.get("by") != self._own:
                self._memory.add_trial(trial)
        self._seen = len(stored)
