"""A mixture: which configurations make up a model, with which weights, and how they are combined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autobrats.ensembling.candidates import Candidate
from autobrats.evaluation.metrics_file import Metrics
from autobrats.inference.combination import Combination
from autobrats.inference.model_folder import TrainedNetwork


@dataclass(frozen=True)
class Mixture:
    """A choice of configurations.

    Attributes:
        weights: (configuration, weight), in the plan's order.
        combination: of the configurations; the folds of one are always averaged.
        by_fold: (fold, configuration): if it is given, a fold's network is taken from that configuration alone.
    """

    weights: tuple[tuple[str, float], ...]
    combination: Combination = "mean"
    by_fold: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, *configurations: str, combination: Combination = "mean") -> Mixture:
        """Configurations that count alike; one that is named twice counts twice."""
        names = list(dict.fromkeys(configurations))
        counts = [configurations.count(name) for name in names]
        shared = math.gcd(*counts)  # a a b b is the mixture a b
        return cls(
            tuple((name, float(count // shared)) for name, count in zip(names, counts, strict=True)), combination
        )

    @property
    def configurations(self) -> list[str]:
        return [name for name, _ in self.weights]

    @property
    def is_single(self) -> bool:
        """Whether it is one configuration."""
        return len(self.weights) == 1

    @property
    def label(self) -> str:
        """For people: ``2 x a + b (majority)``."""
        if self.by_fold:
            return "best configuration of every fold"
        smallest = min(weight for _, weight in self.weights)
        told = []
        for name, weight in self.weights:
            times = weight / smallest
            told.append(name if times == 1 else f"{times:.3g} x {name}")
        return " + ".join(told) + ("" if self.combination == "mean" else f" ({self.combination})")

    def of_fold(self, fold: int) -> list[tuple[str, float]]:
        """What predicts the cases of a fold out of fold: (configuration, weight)."""
        if self.by_fold:
            return [(name, 1.0) for of, name in self.by_fold if of == fold]
        return list(self.weights)

    def networks(self, candidates: Mapping[str, Candidate], most_folds: int | None = None) -> list[TrainedNetwork]:
        """The networks of a model; those of a configuration share its weight.

        Args:
            candidates: by configuration.
            most_folds: that are taken of a configuration, those of the best own score first; None for all.
        """
        if self.by_fold:
            return [TrainedNetwork(name, fold, candidates[name].weights[fold]) for fold, name in self.by_fold]
        networks = []
        for name, weight in self.weights:
            own = _best_folds(candidates[name], most_folds)
            networks += [TrainedNetwork(name, of.fold, of.weights, weight / len(own)) for of in own]
        return networks


def _best_folds(candidate: Candidate, most: int | None) -> Sequence[TrainedNetwork]:
    networks = candidate.networks
    if most is None or len(networks) <= most or candidate.metrics is None:
        return networks
    best = sorted(networks, key=lambda network: -_fold_score(candidate.metrics, network.fold))[:most]
    return sorted(best, key=lambda network: str(network.fold))


def _fold_score(metrics: Metrics | None, fold: int | str) -> float:
    """Mean Dice over the cases of a fold."""
    own = [case.mean_dice for case in metrics.cases.values() if case.fold == fold] if metrics else []
    known = [value for value in own if value is not None]
    return sum(known) / len(known) if known else 0.0
