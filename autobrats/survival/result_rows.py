"""The table of results of a training: a row a model, judged on patients that nothing in its making saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autobrats.evaluation.survival.intervals import Score
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.survival.cohort import Cohort
from autobrats.survival.tuning.nested_scores import nested_gain, nested_scores
from autobrats.survival.tuning.objectives import METRICS, Objective
from autobrats.survival.tuning.split_record import SplitRecord, gather

RowKind = Literal["tuned", "baseline", "recipe", "other"]


@dataclass(frozen=True)
class Row:
    """A line of the table of results.

    Attributes:
        kind: what it is there for.
        nested: scores on patients that the models did not learn from.
        training: scores on the patients that it was fitted to, the mean over splits.
        gain: by how much it is better than the best baseline in what was tuned for; below 0 it is worse.
        predictions: nested ones, one a repeat.
    """

    kind: RowKind
    nested: dict[str, Score]
    training: dict[str, float]
    gain: Score
    predictions: list[SurvivalPredictions]


@dataclass(frozen=True)
class NestedResults:
    """What the splits of a nested cross-validation gave.

    Attributes:
        cohort: the patients.
        objective: what was tuned for.
        folds: of the patients, shape (repeat, patient).
        records: of the splits.
        predictions: of all patients by name of the model, one a repeat.
    """

    cohort: Cohort
    objective: Objective
    folds: np.ndarray
    records: Sequence[SplitRecord]
    predictions: dict[str, list[SurvivalPredictions]]

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        objective: Objective,
        folds: np.ndarray,
        records: Sequence[SplitRecord],
        names: Sequence[str],
    ) -> NestedResults:
        """Gather the predictions of the models of these names from the splits."""
        of_repeat = [[record for record in records if record.repeat == repeat] for repeat in range(len(folds))]
        predictions = {name: [gather(splits, name, len(cohort)) for splits in of_repeat] for name in names}
        return cls(cohort, objective, folds, records, predictions)

    def gain(self, name: str, baseline: str) -> Score:
        """By how much a model is better than a baseline in what was tuned for."""
        first, second = self.predictions[name], self.predictions[baseline]
        return nested_gain(METRICS[self.objective], self.cohort, first, second, self.folds)

    def row(
        self,
        name: str,
        kind: RowKind,
        metrics: Sequence[str],
        baseline: str,
        taken: Mapping[tuple[int, int], str] | None = None,
    ) -> Row:
        """The scores of a model.

        Args:
            name: of the model.
            kind: of the row.
            metrics: that it has.
            baseline: the best one.
            taken: by (repeat, fold) the model that stood there, where that differs.
        """
        training: dict[str, list[float]] = {}
        for record in self.records:
            there = taken[record.repeat, record.fold] if taken else name
            for metric, value in record.candidates[there].training.items():
                if value is not None:
                    training.setdefault(metric, []).append(value)
        return Row(
            kind,
            nested_scores(self.cohort, self.predictions[name], self.folds, metrics),
            {metric: float(np.mean(values)) for metric, values in training.items()},
            self.gain(name, baseline),
            self.predictions[name],
        )
