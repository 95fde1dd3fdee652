"""Several configurations averaged into one model (Nguyen et al., 2020, average ten networks of two architectures)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobrats.dataset.cases import Dataset
from autobrats.ensembling.candidates import Candidate
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import CaseMetrics, build_metrics
from autobrats.evaluation.out_of_fold import score_probabilities
from autobrats.evaluation.probability_file import read_probabilities, read_spacing
from autobrats.plan import Plan
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder


def average_candidates(folder: DatasetFolder, dataset: Dataset, plan: Plan, parts: Sequence[Candidate]) -> Candidate:
    """The candidate that averages the probabilities of others, each after its own postprocessing.

    It is scored out of fold: a case by the networks of its own fold, one of every configuration.

    Raises:
        UserError: if there are fewer than two, or their finished folds differ.
    """
    names = [part.configuration for part in parts]
    if len(parts) < 2:
        raise UserError("--together needs at least two configurations.")
    folds = list(parts[0].weights)
    for part in parts:
        if not part.weights or list(part.weights) != folds:
            raise UserError(
                f"--together needs the same finished folds of every configuration: {names[0]} has "
                f"{_listed(folds)}, {part.configuration} has {_listed(list(part.weights))}."
            )
    scored: dict[str, CaseMetrics] = {}
    for fold in folds:
        runs = [RunDirectory(folder.run(name, fold)) for name in names]
        metrics = parts[0].metrics
        assert metrics is not None
        for name in [case for case, of in metrics.cases.items() if of.fold == fold]:
            scored[name] = _score(dataset, plan, runs, name, fold)
    return Candidate(
        configuration=" + ".join(names),
        weights={},
        all_weights=None,
        missing=parts[0].missing,
        metrics=build_metrics(" + ".join(names), scored),
        parts=list(parts),
    )


def _score(dataset: Dataset, plan: Plan, runs: Sequence[RunDirectory], name: str, fold: int) -> CaseMetrics:
    total: np.ndarray | None = None
    for run in runs:
        probabilities, box, shape = read_probabilities(run.scored_file(name))
        total = probabilities.astype(np.float32) if total is None else total + probabilities
    assert total is not None
    mean = np.rint(total / len(runs)).astype(np.uint8)
    spacing = read_spacing(runs[0].scored_file(name))
    assert spacing is not None
    return score_probabilities(dataset.case(name), plan.modalities, plan.convention, mean, box, shape, spacing, fold)


def _listed(folds: Sequence[int]) -> str:
    return ", ".join(map(str, folds)) or "none"
