"""Tuning of postprocessing with a nested estimate: what is reported comes from patients that the choice did not see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.errors import UserError
from autobrats.evaluation.patient_groups import GROUPS, patient_groups
from autobrats.evaluation.summary import bootstrap_interval
from autobrats.tuning.objective import DICE, HD95, ObjectiveName
from autobrats.tuning.postprocessing_search import (
    MOST_CASES,
    Judged,
    SearchJob,
    SearchOutcome,
    load_tuning_case,
    run_search,
)
from autobrats.tuning.search_space import PostprocessingChoice
from autobrats.tuning.sources import CaseSource
from autobrats.tuning.tuning_case import default_choice
from autobrats.workers import default_workers, map_in_workers

FEWEST_PATIENTS = 8
"""With fewer, no interval would tell a gain from chance."""
SPACE_VERSION = 2
"""Changes when the same parameters begin to mean something else, so that old studies are not gone on with."""


@dataclass(frozen=True)
class TuningOptions:
    """How long and for what to search.

    Attributes:
        trials: of each search, those of earlier calls included.
        max_hours: for all searches together; None for no limit.
        objective: see :func:`~autobrats.tuning.objective.new_objective`.
        pareto: whether Dice and HD95 are searched as two objectives; of the front, the objective chooses.
        groups: into which the patients are dealt for the nested estimate.
        seed: of groups and samplers.
        workers: processes; None for as many as there are cores, 0 for this process alone.
    """

    trials: int = 200
    max_hours: float | None = None
    objective: ObjectiveName = "ranks"
    pareto: bool = False
    groups: int = GROUPS
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True)
class Gain:
    """Chosen minus default over the cases, each judged by a choice that its patient took no part in.

    Attributes:
        objective, dice, hd95: (mean, low, high) with the 95 % interval by patient; None where there is no interval.
        default_dice, chosen_dice, default_hd95, chosen_hd95: mean by region.
    """

    objective: tuple[float, float | None, float | None]
    dice: tuple[float, float | None, float | None]
    hd95: tuple[float, float | None, float | None]
    default_dice: dict[str, float]
    chosen_dice: dict[str, float]
    default_hd95: dict[str, float]
    chosen_hd95: dict[str, float]

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the objective lies above zero."""
        return self.objective[1] is not None and self.objective[1] > 0


@dataclass(frozen=True)
class PostprocessingResult:
    """What the tuning found.

    Attributes:
        search: over all cases: its choice is the one to apply.
        gain: the nested estimate.
        applied: whether the choice is to be applied: only if the gain is clear.
        expected_choice: by case, what to apply to it to see the scores to expect. If the choice is not applied, the
            default; if it is, what was chosen without the case's group, where the gain on the other groups is clear (whose
            choices have seen the group: the decision, not the choice, is nested only to the first order).
        objective: its name.
        pareto: whether there were two.
    """

    search: SearchOutcome
    gain: Gain
    applied: bool
    expected_choice: dict[str, PostprocessingChoice]
    objective: ObjectiveName
    pareto: bool

    @property
    def choice(self) -> PostprocessingChoice | None:
        """What to apply; None for nothing."""
        return self.search.choice if self.applied else None

    @property
    def sentence(self) -> str:
        """For people: what was tuned, what it gains, and whether it is applied."""
        mean, low, high = self.gain.dice
        interval = "" if low is None else f" (95 % interval {low:+.4f} to {high:+.4f})"
        hd95, hd95_low, hd95_high = self.gain.hd95
        hd95_interval = "" if hd95_low is None else f" ({hd95_low:+.2f} to {hd95_high:+.2f})"
        changes = f"mean Dice by {mean:+.4f}{interval} and mean HD95 by {hd95:+.2f} mm{hd95_interval}"
        if self.applied:
            return f"Tuned postprocessing is applied: on patients that it did not see it changes {changes}."
        if self.search.params == self.search.default_params:
            return f"No postprocessing was better than none in {len(self.search.trials)} trials; none is applied."
        high_end = self.gain.objective[2]
        verdict = "calls worse" if high_end is not None and high_end < 0 else "cannot tell from chance"
        return (
            f"Tuned postprocessing is not applied: on patients that it did not see it changes {changes}, which the "
            f"objective ({self.objective}) {verdict}."
        )


def tune_postprocessing(
    source: CaseSource,
    folder: Path,
    options: TuningOptions = TuningOptions(),
    *,
    groups: Mapping[str, int] | None = None,
    sources_by_group: Mapping[int, CaseSource] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PostprocessingResult:
    """Search on all cases, and once more without each group of patients to see what such a search is worth.

    Args:
        source: of the cases.
        folder: where the studies are kept.
        groups: of patients, by case; by default dealt here.
        sources_by_group: where the predictions themselves are a choice (an ensemble), those that were chosen without a
            group's patients; by default the same for all.
        on_progress: called with (searches done, searches in all).

    Raises:
        UserError: if there are fewer than ``FEWEST_PATIENTS`` patients, or a search failed.
    """
    patients = source.patients
    if len(set(patients.values())) < FEWEST_PATIENTS:
        raise UserError(
            f"Postprocessing cannot be tuned on {len(set(patients.values()))} patients: at least {FEWEST_PATIENTS} are "
            "needed to tell a gain from chance."
        )
    groups = patient_groups(patients, groups=options.groups, seed=options.seed) if groups is None else groups
    numbers: list[int | None] = [None, *sorted({groups[case] for case in patients})]
    sources = {number: source if number is None else (sources_by_group or {}).get(number, source) for number in numbers}
    workers = _workers(source) if options.workers is None else options.workers
    rounds = -(-len(numbers) // max(1, workers))
    jobs = [
        SearchJob(
            folder=folder,
            study=_study_name(sources[number], number, seen, options),
            source=sources[number],
            seen=seen,
            judged=tuple(case for case in patients if groups[case] == number),
            objective=options.objective,
            pareto=options.pareto,
            trials=options.trials,
            seconds=None if options.max_hours is None else 3600 * options.max_hours / rounds,
            seed=options.seed,
        )
        for number in numbers
        for seen in [tuple(case for case in patients if groups[case] != number)]
    ]
    found: dict[str, SearchOutcome] = {}
    on_progress(0, len(jobs))
    for done in map_in_workers(run_search, jobs, workers=workers, describe=lambda job: job.study):
        if done.result is None:
            raise UserError(f"The search {done.item.study} failed: {done.error}")
        found[done.item.study] = done.result
        on_progress(len(found), len(jobs))
    overall, *without = (found[job.study] for job in jobs)
    judged = {case: scores for outcome in without for case, scores in outcome.judged.items()}
    gain = _gain(judged, patients, list(source.convention.regions))
    applied = gain.is_clear and overall.params != overall.default_params
    expected = {}
    for outcome in without:
        others = {case: scores for case, scores in judged.items() if case not in outcome.judged}
        clear = applied and _gain(others, patients, list(source.convention.regions)).is_clear
        choice = outcome.choice if clear else default_choice(source.convention)
        expected.update(dict.fromkeys(outcome.judged, choice))
    return PostprocessingResult(
        search=overall,
        gain=gain,
        applied=applied,
        expected_choice=expected,
        objective=options.objective,
        pareto=options.pareto,
    )


def _workers(source: CaseSource) -> int:
    """As many as there are cores, fewer if the cases of so many searches do not fit the free memory."""
    first = next(iter(source.patients))
    opened = min(len(source.patients), MOST_CASES)
    return default_workers(opened * load_tuning_case(source, first).memory_gib)


def _study_name(source: CaseSource, group: int | None, seen: tuple[str, ...], options: TuningOptions) -> str:
    """Differs for everything that a trial's value depends on, so that only like trials are gone on with."""
    identity = [
        SPACE_VERSION,
        source.key,
        source.variants,
        options.objective,
        options.pareto,
        options.seed,
        group,
        seen,
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    return f"postprocessing {'all' if group is None else f'without group {group}'} {digest}"


def _gain(judged: Mapping[str, Judged], patients: Mapping[str, str], regions: list[str]) -> Gain:
    cases = list(judged)
    owners = [patients[case] for case in cases]
    default = np.stack([judged[case].default for case in cases])
    chosen = np.stack([judged[case].chosen for case in cases])

    def paired(values: np.ndarray) -> tuple[float, float | None, float | None]:
        return (float(values.mean()), *bootstrap_interval(values, owners))

    def by_region(scores: np.ndarray, metric: int) -> dict[str, float]:
        return dict(zip(regions, scores[..., metric].mean(0).tolist(), strict=True))

    return Gain(
        objective=paired(np.array([judged[case].chosen_value - judged[case].default_value for case in cases])),
        dice=paired((chosen - default)[..., DICE].mean(1)),
        hd95=paired((chosen - default)[..., HD95].mean(1)),
        default_dice=by_region(default, DICE),
        chosen_dice=by_region(chosen, DICE),
        default_hd95=by_region(default, HD95),
        chosen_hd95=by_region(chosen, HD95),
    )
