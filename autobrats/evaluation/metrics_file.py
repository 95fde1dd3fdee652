"""metrics.json: the scores of every case of a run, and their summary."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.summary import Summary, summarise
from autobrats.files import read_model, write_json

Fold = int | Literal["all"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CaseMetrics(Strict):
    """One case: ``regions`` is {region: {metric: value}}; a value that is not defined or infinite is None."""

    patient: str
    fold: Fold | None = None
    regions: dict[str, dict[str, float | None]]

    @property
    def mean_dice(self) -> float | None:
        """The mean of Dice over the regions."""
        values = [scores["dice"] for scores in self.regions.values() if scores.get("dice") is not None]
        return fmean(value for value in values if value is not None) if values else None


class Metrics(Strict):
    """metrics.json.

    Attributes:
        configuration: what predicted the cases.
        folds: the folds of which validation cases are in here.
        cases: by case name.
        summary: {region: {metric: Summary}}.
        mean_dice: of each case's mean over regions.
    """

    configuration: str
    folds: list[Fold]
    cases: dict[str, CaseMetrics]
    summary: dict[str, dict[str, Summary]]
    mean_dice: Summary


def case_metrics(patient: str, scores: Mapping[str, Mapping[str, float]], fold: Fold | None = None) -> CaseMetrics:
    """What :func:`autobrats.evaluation.cases.score_case` returned, with null for NaN and infinity."""
    regions = {
        region: {metric: float(value) if math.isfinite(value) else None for metric, value in values.items()}
        for region, values in scores.items()
    }
    return CaseMetrics(patient=patient, fold=fold, regions=regions)


def build_metrics(configuration: str, cases: Mapping[str, CaseMetrics], *, seed: int = 0) -> Metrics:
    """Summarise the cases (sorted by name) of one configuration."""
    ordered = {name: cases[name] for name in sorted(cases)}
    patients = [case.patient for case in ordered.values()]
    first = next(iter(ordered.values()), None)
    summary = {
        region: {
            metric: summarise(
                [case.regions.get(region, {}).get(metric) for case in ordered.values()], patients, seed=seed
            )
            for metric in metrics
        }
        for region, metrics in (first.regions if first else {}).items()
    }
    mean_dice = summarise([case.mean_dice for case in ordered.values()], patients, seed=seed)
    folds = sorted({case.fold for case in ordered.values() if case.fold is not None}, key=str)
    return Metrics(configuration=configuration, folds=folds, cases=ordered, summary=summary, mean_dice=mean_dice)


def pool_metrics(parts: Iterable[Metrics], *, only: Collection[str] | None = None, seed: int = 0) -> Metrics:
    """The metrics of several folds of one configuration as one; with ``only``, of these cases.

    Raises:
        ValueError: if the parts are none, of several configurations, or share a case.
    """
    parts = list(parts)
    configurations = {part.configuration for part in parts}
    if len(configurations) != 1:
        raise ValueError(f"expected metrics of one configuration, got {sorted(configurations) or 'none'}")
    cases: dict[str, CaseMetrics] = {}
    for part in parts:
        if shared := sorted(cases.keys() & part.cases.keys()):
            raise ValueError(f"the case {shared[0]} was validated in two folds of {part.configuration}")
        cases.update(part.cases)
    if only is not None:
        cases = {name: case for name, case in cases.items() if name in only}
    return build_metrics(configurations.pop(), cases, seed=seed)


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write metrics.json atomically."""
    write_json(path, metrics)


def read_metrics(path: Path) -> Metrics:
    """Read metrics.json.

    Raises:
        UserError: if it is missing, not JSON or not of this form.
    """
    return read_model(path, Metrics)
