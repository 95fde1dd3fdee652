"""The search for the mixture of configurations with the best out-of-fold Dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.dataset.cases import Dataset
from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.out_of_fold_source import OutOfFoldSource, out_of_fold_source
from autobrats.inference.combination import Combiner
from autobrats.plan import Plan
from autobrats.tuning.tuning_case import RELEVANT
from autobrats.workspace import DatasetFolder

MOST_MEMBERS = 10
"""Steps of the greedy selection."""
MOST_CASES = 300
"""On which mixtures are compared: more would hardly change the choice."""


@dataclass(frozen=True)
class Step:
    """A mixture that was considered.

    Attributes:
        mixture: what it is made of.
        how: ``single``, ``greedy``, ``best N``, ``all alike``, ``by rank``, ``majority``, ``staple`` or ``best by fold``.
        dice: mean over the cases and regions.
    """

    mixture: Mixture
    how: str
    dice: float


class EnsembleSearch:
    """Scores mixtures on cases that all configurations have predicted out of fold.

    Candidates are every configuration alone, the steps of a greedy selection with replacement (Caruana et al. 2004,
    doi:10.1145/1015330.1015432), the best N alike, all alike, weighted by their rank, by majority vote and by STAPLE, and the
    best configuration of every fold (MONAI's AlgoEnsembleBestByFold).

    Args:
        folder, dataset, plan: of the runs.
        candidates: trained configurations.
        cases: by name, the fold that held it back.
        seed: of the sample where there are more than ``MOST_CASES``.
    """

    def __init__(
        self,
        folder: DatasetFolder,
        dataset: Dataset,
        plan: Plan,
        candidates: Sequence[Candidate],
        cases: Mapping[str, int],
        *,
        seed: int = 0,
    ) -> None:
        self.convention = plan.convention
        self.candidates = {candidate.configuration: candidate for candidate in candidates}
        names = list(cases)
        if len(names) > MOST_CASES:
            names = sorted(np.random.default_rng(seed).permutation(names)[:MOST_CASES].tolist())
        self.folds = {name: cases[name] for name in names}
        sources = [out_of_fold_source(folder, dataset, plan, Mixture.of(name), self.folds) for name in self.candidates]
        self._cases = {name: _CompactCase(sources, name) for name in names}
        self._dice: dict[tuple[Mixture, str], float] = {}

    def dice(self, mixture: Mixture, names: Sequence[str]) -> float:
        """Mean over cases of the mean Dice over regions."""
        return float(np.mean([self._case_dice(mixture, name) for name in names]))

    def choose(
        self, names: Sequence[str], *, affordable: Callable[[Mixture], bool] = lambda mixture: True
    ) -> list[Step]:
        """All candidates with their Dice on these cases, the best first; of equals the one of fewer configurations.

        Args:
            affordable: whether a mixture's prediction is cheap enough.
        """
        singles = {name: self.dice(Mixture.of(name), names) for name in self.candidates}
        ranked = sorted(singles, key=lambda name: -singles[name])
        wanted: list[tuple[str, Mixture]] = [("single", Mixture.of(name)) for name in ranked]
        wanted += [("greedy", mixture) for mixture in self._greedy(ranked, names, affordable)]
        wanted += [(f"best {n}", self._ordered(ranked[:n])) for n in range(2, len(ranked))]
        if len(ranked) > 1:
            in_order = [name for name in self.candidates if name in ranked]
            wanted.append(("all alike", Mixture.of(*in_order)))
            by_rank = {name: float(len(ranked) - place) for place, name in enumerate(ranked)}
            wanted.append(("by rank", Mixture(tuple((name, by_rank[name]) for name in in_order))))
            by_fold = self._best_by_fold(ranked, names)
            covers_all = set(dict(by_fold)) == set(self.folds.values())
            if covers_all and len(set(dict(by_fold).values())) > 1:
                used = tuple((name, 1.0) for name in in_order if name in dict(by_fold).values())
                wanted.append(("best by fold", Mixture(used, by_fold=by_fold)))
        if len(ranked) > 2:
            wanted += [(how, Mixture.of(*self.candidates, combination=how)) for how in ("majority", "staple")]
        seen: dict[Mixture, Step] = {}
        for how, mixture in wanted:
            if mixture not in seen and affordable(mixture):
                seen[mixture] = Step(mixture, how, self.dice(mixture, names))
        return sorted(seen.values(), key=lambda step: (-step.dice, len(step.mixture.weights)))

    def _greedy(
        self, ranked: Sequence[str], names: Sequence[str], affordable: Callable[[Mixture], bool]
    ) -> list[Mixture]:
        """The mixtures after every step, from two members on; it ends when no member makes it better."""
        chosen = [next((name for name in ranked if affordable(Mixture.of(name))), ranked[0])]
        best, steps = self.dice(Mixture.of(*chosen), names), []
        while len(chosen) < MOST_MEMBERS:
            grown = {}
            for name in ranked:
                mixture = self._ordered([*chosen, name])
                if affordable(mixture):
                    grown[name] = self.dice(mixture, names)
            if not grown:
                break
            name = max(grown, key=grown.__getitem__)
            if grown[name] <= best and len(set(chosen)) > 1:
                break
            chosen, best = [*chosen, name], max(best, grown[name])
            steps.append(self._ordered(chosen))
        return [mixture for mixture in steps if not mixture.is_single]

    def _ordered(self, chosen: Sequence[str]) -> Mixture:
        return Mixture.of(*(name for configuration in self.candidates for name in chosen if name == configuration))

    def _best_by_fold(self, ranked: Sequence[str], names: Sequence[str]) -> tuple[tuple[int, str], ...]:
        by_fold = []
        for fold in sorted({self.folds[name] for name in names}):
            own = [name for name in names if self.folds[name] == fold]
            by_fold.append((fold, max(ranked, key=lambda name: self.dice(Mixture.of(name), own))))
        return tuple(by_fold)

    def _case_dice(self, mixture: Mixture, name: str) -> float:
        key = (mixture, name)
        if key not in self._dice:
            weights = dict(mixture.of_fold(self.folds[name]))
            parts = [(place, weights[part]) for place, part in enumerate(self.candidates) if part in weights]
            combiner = Combiner(mixture.combination, self.convention)
            self._dice[key] = self._cases[name].dice(parts, combiner)
        return self._dice[key]


class _CompactCase:
    """The relevant voxels of a case, side by side: probabilities of every configuration, and the reference's regions."""

    def __init__(self, sources: Sequence[OutOfFoldSource], name: str) -> None:
        loaded = [source.combined(name) for source in sources]
        box = tuple(slice(start, stop) for start, stop in loaded[0][1])
        relevant = np.any([probabilities.max(0) > RELEVANT * 255 for probabilities, *_ in loaded], axis=0)
        self._probabilities = np.stack([probabilities[:, relevant] for probabilities, *_ in loaded])
        convention = sources[0].convention
        reference = convention.to_regions(sources[0].reference(name))
        self._size = reference.sum((1, 2, 3), dtype=np.int64)
        self._reference = reference[(slice(None), *box)][:, relevant]

    def dice(self, parts: Sequence[tuple[int, float]], combiner: Combiner) -> float:
        """Mean over the regions; absent in both is 1.

        Args:
            parts: (place of the configuration, weight).
            combiner: that has taken nothing yet.
        """
        for place, weight in parts:
            combiner.add(self._probabilities[place].astype(np.float32) / 255, weight)
        convention = combiner.convention
        # Rounded as stored probabilities are, so that what is scored here is what is tuned on later.
        predicted = convention.to_regions(convention.decide(np.rint(combiner.result() * 255).astype(np.uint8)))
        both = (predicted & self._reference).sum(1, dtype=np.int64)
        total = predicted.sum(1, dtype=np.int64) + self._size
        return float(np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0).mean())
