"""Which model is best: a mixture of configurations and its postprocessing, with scores that neither choice has inflated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from autobrats.dataset.cases import Dataset
from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.cost import PredictionCosts
from autobrats.ensembling.differences import Difference, difference
from autobrats.ensembling.ensemble_search import EnsembleSearch, Step
from autobrats.ensembling.expected_scores import ChosenPrediction, score_chosen
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.out_of_fold_source import OutOfFoldSource, out_of_fold_source
from autobrats.ensembling.variants import Variant, variants_of, with_variants
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import CaseMetrics, Metrics, build_metrics, pool_metrics
from autobrats.evaluation.patient_groups import patient_groups
from autobrats.inference.model_folder import Cost, TrainedNetwork
from autobrats.plan import Part, Plan
from autobrats.tuning.postprocessing_tuning import (
    FEWEST_PATIENTS,
    PostprocessingResult,
    TuningOptions,
    tune_postprocessing,
)
from autobrats.tuning.search_space import UNCHANGED, PostprocessingChoice, SearchSpace
from autobrats.tuning.tuning_case import default_choice
from autobrats.workspace import DatasetFolder

VARIANT_SHARE = 0.25
"""Of the tuning's time that the making of variants may take."""

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""From a title to a context that yields ``on_progress(done, total)``."""


@dataclass(frozen=True)
class ModelSearchOptions:
    """What the user may decide.

    Attributes:
        together: take all configurations, alike, whatever their scores.
        tuning: of the postprocessing; None for none.
        max_seconds_per_case: what a prediction may cost.
        race_fold: whose patients took part in a race of the configurations, and say nothing about its winners.
        device: on which predictions will run.
    """

    together: bool = False
    tuning: TuningOptions | None = field(default_factory=TuningOptions)
    max_seconds_per_case: float | None = None
    race_fold: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class ModelChoice:
    """What was chosen, and why.

    Attributes:
        mixture: the configurations.
        networks: of the model.
        plan: of the model.
        postprocessing: of the model, on the combination.
        expected: scores of patients that neither the weights nor a choice saw; None without out-of-fold scores.
        untuned: the same without tuned postprocessing.
        compared: scores of every configuration on the cases that all have, best first.
        differences: the mixture, untuned, minus each other configuration.
        steps: the mixtures that were considered, best first; their scores are not nested.
        is_nested: whether ``expected`` is free of the choice between configurations; it is not where they have no case in
            common.
        costs: of predictions.
        cost: of the model's.
        tuning: of the postprocessing, if it was tuned.
        predictions: by case, what ``expected`` is made of.
        notes: sentences for the user.
    """

    mixture: Mixture
    networks: list[TrainedNetwork]
    plan: Plan
    postprocessing: list[Part]
    expected: Metrics | None = None
    untuned: Metrics | None = None
    compared: dict[str, Metrics] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    is_nested: bool = True
    costs: PredictionCosts | None = None
    cost: Cost | None = None
    tuning: PostprocessingResult | None = None
    predictions: dict[str, ChosenPrediction] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def best_single(self) -> tuple[str, Metrics] | None:
        """The best configuration by itself, and its scores."""
        return next(iter(self.compared.items()), None)


class ModelSearch:
    """One search over the trained candidates of a dataset.

    Args:
        folder, dataset, plan: of the runs.
        candidates: that are trained.
        options: the user's.
        progress: shows how far each part is.

    Raises:
        ValueError: if there is no candidate.
    """

    def __init__(
        self,
        folder: DatasetFolder,
        dataset: Dataset,
        plan: Plan,
        candidates: Sequence[Candidate],
        options: ModelSearchOptions,
        progress: Progress,
    ) -> None:
        if not candidates:
            raise ValueError("no candidate is trained")
        self.folder, self.dataset, self.plan, self.options, self.progress = folder, dataset, plan, options, progress
        self.scored = {of.configuration: of for of in candidates if of.metrics is not None}
        self.candidates = {of.configuration: of for of in candidates}
        self.notes: list[str] = []
        self.workers = None if options.tuning is None else options.tuning.workers
        self._sources: dict[Mixture, OutOfFoldSource] = {}
        self._variants: dict[Mixture, list[Variant]] = {}

    def run(self) -> ModelChoice:
        """Choose the mixture, tune its postprocessing, and estimate how well both together will do."""
        if not self.scored:
            return self._without_scores()
        self._costs = PredictionCosts(
            self.folder, self.dataset, self.plan, list(self.scored.values()), self.options.device
        )
        compared, common = self._compare()
        folds = {
            name: int(case.fold)
            for candidate in self.scored.values()
            for name, case in _metrics(candidate).cases.items()
            if case.fold is not None and case.fold != "all"
        }
        # Dealt over all patients, so that every choice leaves out the same ones.
        tuning = self.options.tuning or TuningOptions()
        patients = {name: self.dataset.case(name).patient for name in sorted(folds)}
        groups = patient_groups(patients, groups=tuning.groups, seed=tuning.seed)
        numbers = sorted(set(groups.values()))
        steps, mixture, by_group = self._choose_mixture(compared, {name: folds[name] for name in common}, groups)
        if any(of != mixture for of in by_group.values()):
            folds = {name: folds[name] for name in common}
        for own in dict.fromkeys([mixture, *by_group.values()]):
            self._sources[own] = out_of_fold_source(self.folder, self.dataset, self.plan, own, folds)
        result = self._tune(mixture, by_group, folds, groups)
        default = default_choice(self.plan.convention)
        sources = {number: self._sources[by_group[number]] for number in numbers}
        plain = {
            name: ChosenPrediction(sources[groups[name]], default, folds[name])
            for name in self._sources[mixture].files
            if name in sources[groups[name]].files
        }
        predictions = plain
        if result is not None:
            predictions = {name: replace(of, choice=result.expected_choice[name]) for name, of in plain.items()}
        with self.progress("Scoring the choice") as on_progress:
            scored = score_chosen(predictions, workers=self.workers, on_progress=on_progress)
        is_plain = predictions == plain
        untuned = build_metrics(mixture.label, scored if is_plain else score_chosen(plain, workers=self.workers))
        most_folds = self._costs.folds_within(mixture, self.options.max_seconds_per_case)
        variant = self._chosen_variant(mixture, result)
        postprocessing = [*variant.parts(), *self._rules(result)]
        return ModelChoice(
            mixture=mixture,
            networks=mixture.networks(self.candidates, most_folds),
            plan=variant.plan(self.plan),
            postprocessing=postprocessing,
            expected=self._expected(mixture, scored),
            untuned=untuned,
            compared=compared,
            differences=[difference(untuned, of) for name, of in compared.items() if name != mixture.label],
            steps=steps,
            is_nested=self.options.together or len(compared) == 1 or bool(common),
            costs=self._costs,
            cost=self._costs.of(mixture, most_folds, postprocessing),
            tuning=result,
            predictions=predictions,
            notes=self.notes,
        )

    def _chosen_variant(self, mixture: Mixture, result: PostprocessingResult | None) -> Variant:
        name = UNCHANGED if result is None or result.choice is None else result.choice.variant
        return next((of for of in self._variants.get(mixture, []) if of.name == name), Variant(UNCHANGED))

    def _without_scores(self) -> ModelChoice:
        first = next(iter(self.candidates.values()))
        note = "Only fold 'all' is trained: there is no validation, so nothing can be said about the scores to expect."
        return ModelChoice(Mixture.of(first.configuration), first.networks, self.plan, [], notes=[note])

    def _compare(self) -> tuple[dict[str, Metrics], list[str]]:
        """The scores of every configuration on the cases that all have, best first, and those cases."""
        all_metrics = {name: _metrics(of) for name, of in self.scored.items()}
        common = set.intersection(*(set(metrics.cases) for metrics in all_metrics.values()))
        if common:
            compared = {name: pool_metrics([of], only=common) for name, of in all_metrics.items()}
            if any(len(of.cases) > len(common) for of in all_metrics.values()):
                self.notes.append(
                    f"The configurations are compared on the {len(common)} cases that all of them have predicted."
                )
        else:
            compared = all_metrics
            self.notes.append(
                "The configurations were not validated on the same cases, so their scores can hardly be compared, and the "
                "expected ones are not nested over the choice; train the same folds of each."
            )
        order = sorted(compared, key=lambda name: -(compared[name].mean_dice.mean or 0.0))
        return {name: compared[name] for name in order}, sorted(common)

    def _choose_mixture(
        self, compared: Mapping[str, Metrics], folds: Mapping[str, int], groups: Mapping[str, int]
    ) -> tuple[list[Step], Mixture, dict[int, Mixture]]:
        """All that was considered, the best, and the best without each group of patients."""
        numbers = sorted(set(groups.values()))
        if self.options.together or len(compared) == 1 or not folds:
            mixture = self._together() if self.options.together else Mixture.of(next(iter(compared)))
            if not self._affordable(mixture):
                raise self._too_slow([mixture])
            return [], mixture, dict.fromkeys(numbers, mixture)
        search = EnsembleSearch(
            self.folder, self.dataset, self.plan, list(self.scored.values()), folds, seed=self.plan.seed
        )
        names = list(search.folds)
        with self.progress("Comparing ensembles") as on_progress:
            steps = search.choose(names, affordable=self._affordable)
            if not steps:
                raise self._too_slow([Mixture.of(name) for name in compared])
            by_group = {}
            for number in numbers:
                seen = [name for name in names if groups[name] != number]
                by_group[number] = (
                    search.choose(seen, affordable=self._affordable)[0].mixture if seen else steps[0].mixture
                )
                on_progress(number + 1, len(numbers))
        return steps, steps[0].mixture, by_group

    def _together(self) -> Mixture:
        names = list(self.candidates)
        if len(names) < 2:
            raise UserError("--together needs at least two configurations.")
        first = next(iter(self.candidates.values()))
        for candidate in self.candidates.values():
            if not candidate.weights or list(candidate.weights) != list(first.weights):
                raise UserError(
                    f"--together needs the same finished folds of every configuration: {first.configuration} has "
                    f"{_listed(list(first.weights))}, {candidate.configuration} has {_listed(list(candidate.weights))}."
                )
        return Mixture.of(*names)

    def _affordable(self, mixture: Mixture) -> bool:
        return self._costs.folds_within(mixture, self.options.max_seconds_per_case) != 0

    def _too_slow(self, mixtures: Sequence[Mixture]) -> UserError:
        fastest = min(self._costs.of(mixture, 1).seconds_per_case for mixture in mixtures)
        return UserError(
            f"No model predicts a study in {self.options.max_seconds_per_case:g} s; the fastest takes {fastest:.3g} s. "
            "Raise --max-seconds-per-case."
        )

    def _tune(
        self,
        mixture: Mixture,
        by_group: Mapping[int, Mixture],
        folds: Mapping[str, int],
        groups: Mapping[str, int],
    ) -> PostprocessingResult | None:
        options = self.options.tuning
        if options is None or options.trials == 0:
            return None
        patients = set(self._sources[mixture].patients.values())
        if len(patients) < FEWEST_PATIENTS:
            self.notes.append(
                f"Postprocessing is not tuned on {len(patients)} patients: at least {FEWEST_PATIENTS} are needed."
            )
            return None
        limit = None if options.max_hours is None else VARIANT_SHARE * 3600 * options.max_hours
        for own in dict.fromkeys([mixture, *by_group.values()]):
            self._variants[own] = variants_of(own, self.plan, self.folder, self._sources[own])
            with self.progress(f"Preparing variants of {own.label}") as on_progress:
                self._sources[own] = with_variants(
                    self._sources[own],
                    own,
                    folds,
                    self.folder,
                    self.plan,
                    self._variants[own],
                    workers=options.workers,
                    most_seconds=limit,
                    on_progress=on_progress,
                )
        with self.progress("Tuning the postprocessing") as on_progress:
            return tune_postprocessing(
                self._sources[mixture],
                self.folder.tuning / "postprocessing",
                options,
                groups=groups,
                sources_by_group={number: self._sources[own] for number, own in by_group.items()},
                on_progress=on_progress,
            )

    def _rules(self, result: PostprocessingResult | None) -> list[Part]:
        choice: PostprocessingChoice | None = None if result is None else result.choice
        return [] if choice is None else SearchSpace(self.plan.convention).parts(choice)

    def _expected(self, mixture: Mixture, scored: Mapping[str, CaseMetrics]) -> Metrics:
        fold, kept = self.options.race_fold, dict(scored)
        if fold is not None:
            others = {name: case for name, case in kept.items() if case.fold != fold}
            if others:
                self.notes.append(
                    f"Fold {fold} chose the configurations in a race; the expected scores are those of the other folds."
                )
                kept = others
            else:
                self.notes.append(
                    f"Fold {fold} chose the configurations in a race and is the only one: the expected scores are a little "
                    "too high."
                )
        return build_metrics(mixture.label, kept)


def _metrics(candidate: Candidate) -> Metrics:
    assert candidate.metrics is not None
    return candidate.metrics


def _listed(folds: Sequence[int]) -> str:
    return ", ".join(map(str, folds)) or "none"
