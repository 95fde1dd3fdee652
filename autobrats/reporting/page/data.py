"""What the report shows; whatever is None or empty leaves out its section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from autobrats.dataset.cases import Dataset
from autobrats.evaluation.metrics_file import Metrics
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.plan import Plan
from autobrats.reporting.page.survival_data import SurvivalStory

Interval = tuple[float, float | None, float | None]
"""A mean and the ends of its 95 % interval, None where there is none."""
Histories = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""The records of history.jsonl, one an epoch, by configuration and fold."""


@dataclass(frozen=True)
class Cost:
    """What a prediction takes: seconds a case, GiB at its peak (None if not known), and how many networks."""

    seconds_per_case: float
    memory_gib: float | None
    networks: int


@dataclass(frozen=True)
class Member:
    """Networks of one configuration in the ensemble, and their share of it (the shares sum to 1)."""

    configuration: str
    folds: Sequence[int | str]
    weight: float


@dataclass(frozen=True)
class TrialPoint:
    """A trial of the tuning.

    Attributes:
        number: 0 is the untuned default.
        value: of the objective; None if the trial has none.
        params: what was tried, by name.
        state: ``complete``, ``pruned`` or ``failed``.
        values: with several objectives, all of them in the order of ``TuningStory.metric_names``.
    """

    number: int
    value: float | None
    params: Mapping[str, Any]
    state: str = "complete"
    values: Sequence[float] = ()


@dataclass(frozen=True)
class TuningStory:
    """How the tuning went, and what became of it.

    Attributes:
        objective: what was optimised, in the reader's words (``mean Dice over regions``).
        direction: of the objective.
        trials: all of them, in order.
        default_value: the objective of the untuned default.
        importances: by parameter, its share of the objective's variance (they sum to 1).
        gain: the nested difference tuned minus default, with its 95 % interval.
        applied: whether the tuned values are in the model.
        sentence: that says so, and why.
        pareto: the trials that no other beats in all objectives.
        metric_names: of several objectives, in order; all of them are the better the higher, unless ``directions`` says
            otherwise.
        directions: of several objectives.
    """

    objective: str
    direction: Literal["maximize", "minimize"]
    trials: Sequence[TrialPoint]
    default_value: float | None
    importances: Mapping[str, float]
    gain: Interval | None
    applied: bool
    sentence: str
    pareto: Sequence[TrialPoint] = ()
    metric_names: Sequence[str] = ()
    directions: Sequence[Literal["maximize", "minimize"]] = ()


@dataclass(frozen=True)
class CurvePoint:
    """An ensemble: what it costs (seconds a case) and its mean Dice, with a 95 % interval where there is one."""

    label: str
    networks: int
    seconds_per_case: float
    score: float
    low: float | None
    high: float | None
    chosen: bool


@dataclass(frozen=True)
class CasePanel:
    """A case to look at: Dice by region, what is good or wrong, and a picture (PNG)."""

    case: str
    kind: Literal["best", "worst"]
    dice: Mapping[str, float]
    reason: str
    png: bytes


@dataclass(frozen=True)
class Confusion:
    """Voxels by label; ``voxels`` is integer, shape (reference, prediction), both in the order of ``labels``."""

    labels: Sequence[str]
    voxels: np.ndarray


@dataclass(frozen=True)
class RaceRow:
    """A configuration in the race: its score at every rung it reached, how it ended, and why."""

    configuration: str
    scores_by_rung: Mapping[str, float]
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything in the report.

    Attributes:
        title: of the page.
        created: date and time, as the reader shall see it.
        dataset: what was learnt from.
        plan: what was decided.
        plan_told: the plan in words, as :func:`autobrats.planning.explain.explain` tells it.
        fingerprint: what was measured of the dataset.
        chosen: sentences that say what the model is.
        expected: scores to expect on new patients.
        expected_note: where they come from.
        cost: of a prediction.
        compared: the out-of-fold scores by configuration, best first.
        chosen_names: which of ``compared`` are in the model; they are marked.
        tuning: its story.
        curve: ensembles of growing cost.
        members: of the ensemble that was chosen.
        cases: the best and the worst, with pictures.
        confusion: of labels, out of fold.
        survival: of the survival model, if there is one.
        histories: the training curves.
        race: of the configurations, if there was one.
        facts: versions, command, seed and the like, by name.
    """

    title: str
    created: str
    dataset: Dataset
    plan: Plan
    plan_told: str = ""
    fingerprint: DatasetFingerprint | None = None
    chosen: Sequence[str] = ()
    expected: Metrics | None = None
    expected_note: str = ""
    cost: Cost | None = None
    compared: Mapping[str, Metrics] = field(default_factory=dict)
    chosen_names: Sequence[str] = ()
    tuning: TuningStory | None = None
    curve: Sequence[CurvePoint] = ()
    members: Sequence[Member] = ()
    cases: Sequence[CasePanel] = ()
    confusion: Confusion | None = None
    survival: SurvivalStory | None = None
    histories: Histories = field(default_factory=dict)
    race: Sequence[RaceRow] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
