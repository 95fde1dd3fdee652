"""One search for postprocessing: trials on the cases that it may see, judged on cases that it does not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from autobrats.tuning.objective import DICE, HD95, ObjectiveName, new_objective
from autobrats.tuning.search_space import GROW_MM, PostprocessingChoice, SearchSpace
from autobrats.tuning.sources import CaseSource
from autobrats.tuning.studies import FastSearch
from autobrats.tuning.tuning_case import TuningCase

MOST_CASES = 300
"""That a search looks at: more would hardly change the choice."""
KEPT_BYTES = 400_000_000
"""Of masks that a process keeps for later trials."""


@dataclass(frozen=True)
class SearchJob:
    """A search, as it is sent to a worker.

    Attributes:
        folder: of the journal.
        study: its name there.
        source: of the cases.
        seen: cases that the search may look at.
        judged: cases on which its choice is scored in the end.
        objective: see :func:`~autobrats.tuning.objective.new_objective`.
        pareto: whether Dice and HD95 are searched as two objectives.
        trials: in the study, those of earlier calls included.
        seconds: after which no trial but the first, the default, is begun; None for no limit.
        seed: of the sampler, and of the sample where there are more than ``MOST_CASES`` cases.
    """

    folder: Path
    study: str
    source: CaseSource
    seen: tuple[str, ...]
    judged: tuple[str, ...]
    objective: ObjectiveName = "ranks"
    pareto: bool = False
    trials: int = 200
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class TrialRecord:
    """A trial, for tables: its parameters in units, and its means over the cases that were seen."""

    number: int
    params: dict[str, Any]
    objective: float
    dice: float
    hd95: float
    on_front: bool = False


@dataclass(frozen=True)
class Judged:
    """A case that the search did not see, without and with its choice.

    Attributes:
        default, chosen: Dice and HD95 in mm, (region, 2).
        default_value, chosen_value: of the objective.
    """

    default: np.ndarray
    chosen: np.ndarray
    default_value: float
    chosen_value: float


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        params: of the trial with the highest objective; those of the default if no trial is above it.
        default_params: of the default.
        choice: what ``params`` mean.
        judged: by case.
        trials: in order.
        importances: of the parameters for the objective, adding up to 1; empty if there are too few trials, and for a search
            whose choice is only judged.
        seconds: that it took.
    """

    params: dict[str, Any]
    default_params: dict[str, Any]
    choice: PostprocessingChoice
    judged: dict[str, Judged] = field(default_factory=dict)
    trials: list[TrialRecord] = field(default_factory=list)
    importances: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def run_search(job: SearchJob) -> SearchOutcome:
    """Run the trials that are left, choose, and judge the choice."""
    started = time.monotonic()
    space = SearchSpace(job.source.convention, job.source.variants, graded=job.source.graded)
    cases = _open(job.source, _sample(job))
    default = space.choice(space.default)
    objective = new_objective(job.objective, _scores(cases, default))
    search = FastSearch(
        job.folder,
        job.study,
        space.distributions,
        space.first,
        directions=("maximize", "minimize") if job.pareto else ("maximize",),
        seed=job.seed,
    )
    while not search.trials or (
        len(search.trials) < job.trials and (job.seconds is None or time.monotonic() - started < job.seconds)
    ):
        trial = search.ask()
        scores = _scores(cases, space.choice(trial.params))
        dice, hd95 = scores[..., DICE].mean(), scores[..., HD95].mean()
        value = objective(scores).mean()
        facts = {"objective": float(value), "dice": float(dice), "hd95": float(hd95)}
        search.tell(trial, (dice, hd95) if job.pareto else (value,), facts)
    trials = search.trials
    params = max(trials, key=lambda trial: (trial.user_attrs["objective"], -trial.number)).params
    front = _front(trials) if job.pareto else set()
    return SearchOutcome(
        params=params,
        default_params=space.default,
        choice=space.choice(params),
        judged=_judge(job, space, params, objective),
        trials=[
            TrialRecord(
                number=trial.number,
                params=space.describe(trial.params),
                objective=trial.user_attrs["objective"],
                dice=trial.user_attrs["dice"],
                hd95=trial.user_attrs["hd95"],
                on_front=trial.number in front,
            )
            for trial in trials
        ],
        importances={} if job.judged else _importances(search.study),
        seconds=time.monotonic() - started,
    )


def _front(trials: Sequence[optuna.trial.FrozenTrial]) -> set[int]:
    """The numbers of the trials that no other one beats in Dice and HD95 together."""
    points = [(trial.user_attrs["dice"], -trial.user_attrs["hd95"]) for trial in trials]
    return {
        trial.number
        for trial, own in zip(trials, points, strict=True)
        if not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in points)
    }


def _judge(job: SearchJob, space: SearchSpace, params: dict[str, Any], objective: Any) -> dict[str, Judged]:
    default, chosen = space.choice(space.default), space.choice(params)
    judged = {}
    for name in job.judged:
        case = _OPENED.get((_identity(job.source), name)) or load_tuning_case(job.source, name)
        scores = np.stack([case.scores(default), case.scores(chosen)])
        values = objective(scores)
        judged[name] = Judged(scores[0], scores[1], float(values[0]), float(values[1]))
    return judged


def _scores(cases: Sequence[TuningCase], choice: PostprocessingChoice) -> np.ndarray:
    """(case, region, 2)."""
    return np.stack([case.scores(choice) for case in cases])


def _sample(job: SearchJob) -> list[str]:
    if len(job.seen) <= MOST_CASES:
        return list(job.seen)
    return sorted(np.random.default_rng(job.seed).permutation(job.seen)[:MOST_CASES].tolist())


_OPENED: dict[tuple[str, str], TuningCase] = {}
"""Of this process: the searches of one tuning share their cases."""


def _open(source: CaseSource, names: Sequence[str]) -> list[TuningCase]:
    """The cases, opened once a process; those of another source than the last are forgotten."""
    identity = _identity(source)
    for key in [key for key in _OPENED if key[0] != identity]:
        del _OPENED[key]
    for name in names:
        if (identity, name) not in _OPENED:
            _OPENED[identity, name] = load_tuning_case(source, name)
    return [_OPENED[identity, name] for name in names]


def _identity(source: CaseSource) -> str:
    return " ".join([source.key, *source.variants])


def load_tuning_case(source: CaseSource, name: str) -> TuningCase:
    """Open one case (UserError if it cannot be read)."""
    loaded = source.load(name)
    return TuningCase(
        loaded.variants,
        loaded.reference,
        source.convention,
        loaded.spacing_mm,
        margin_mm=0.0 if source.graded else GROW_MM[-1],
        kept_bytes=KEPT_BYTES // MOST_CASES,
    )


def _importances(study: optuna.Study) -> dict[str, float]:
    """fANOVA (Hutter et al. 2014) on the first objective; empty where nothing varies or trials are few."""
    if len(study.trials) < 20:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    try:
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.user_attrs["objective"]
        )
    except (ValueError, RuntimeError):
        return {}
    return {name: round(float(value), 4) for name, value in found.items()}
