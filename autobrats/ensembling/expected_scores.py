"""Scores of out-of-fold predictions under a choice of postprocessing, case by case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autobrats.ensembling.out_of_fold_source import OutOfFoldSource
from autobrats.errors import UserError
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.metrics_file import CaseMetrics, Fold, case_metrics
from autobrats.postprocessing.region_rules import decide_regions
from autobrats.tuning.search_space import PostprocessingChoice
from autobrats.tuning.sources import SourceCase
from autobrats.workers import default_workers, map_in_workers


@dataclass(frozen=True)
class ChosenPrediction:
    """What is predicted of a case: by which source, after which postprocessing; ``fold`` held it back."""

    source: OutOfFoldSource
    choice: PostprocessingChoice
    fold: Fold | None


def chosen_labels(name: str, chosen: ChosenPrediction) -> np.ndarray:
    """The label map, uint8 (z, y, x), on the study's canonical grid."""
    return _labels(_load(name, chosen), chosen)


def score_chosen(
    predictions: Mapping[str, ChosenPrediction],
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CaseMetrics]:
    """Every metric of every case.

    Raises:
        UserError: if a case cannot be read.
    """
    scored: dict[str, CaseMetrics] = {}
    count = default_workers() if workers is None else workers
    jobs = [(name, replace(chosen, source=chosen.source.only(name))) for name, chosen in predictions.items()]
    for outcome in map_in_workers(_score, jobs, workers=count, describe=lambda item: item[0]):
        if outcome.result is None:
            raise UserError(f"{outcome.item[0]} cannot be scored: {outcome.error}")
        scored[outcome.item[0]] = outcome.result
        on_progress(len(scored), len(predictions))
    return {name: scored[name] for name in predictions}


def _score(item: tuple[str, ChosenPrediction]) -> CaseMetrics:
    name, chosen = item
    loaded, source = _load(name, chosen), chosen.source
    scores = score_case(_labels(loaded, chosen), loaded.reference, source.convention, loaded.spacing_mm)
    return case_metrics(source.patients[name], scores, chosen.fold)


def _load(name: str, chosen: ChosenPrediction) -> SourceCase:
    """The case without the variants that were not chosen."""
    wanted = {of: files for of, files in chosen.source.variant_files.items() if of == chosen.choice.variant}
    return replace(chosen.source, variant_files=wanted).load(name)


def _labels(loaded: SourceCase, chosen: ChosenPrediction) -> np.ndarray:
    convention, choice = chosen.source.convention, chosen.choice
    probabilities = loaded.variants[choice.variant]
    regions = decide_regions(probabilities, choice.rules, choice.nesting, convention, loaded.spacing_mm)
    return convention.to_labels(regions)
