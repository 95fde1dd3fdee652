"""Nested cross-validation by patient: the whole search is repeated without the patients on whom it is judged."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from autobrats.errors import UserError
from autobrats.evaluation.survival.concordance import harrell_c
from autobrats.evaluation.survival.portal import portal_scores
from autobrats.files import read_model, write_json
from autobrats.survival.cohort import Cohort
from autobrats.survival.models.model_file import LIBRARIES
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import SurvivalModel
from autobrats.survival.tuning.final_model import build_model
from autobrats.survival.tuning.folds import survival_folds
from autobrats.survival.tuning.search import SearchOptions, search_model
from autobrats.survival.tuning.split_record import CandidateRecord, SplitRecord
from autobrats.workers import map_in_workers

TUNED = "tuned"
PROCEDURE_VERSION = 2
"""Counts up when the same search would give something else, so that splits of two versions are not mixed."""
_CURVE_DAYS = 20


@dataclass(frozen=True)
class NestedOptions:
    """How the choice is judged.

    Attributes:
        search: what is repeated in every split.
        folds: of the outer cross-validation.
        repeats: of that, with other folds.
        seed: of the outer folds.
        max_seconds: for the search in one split; None for no limit.
    """

    search: SearchOptions
    folds: int = 5
    repeats: int = 3
    seed: int = 0
    max_seconds: float | None = None


def outer_folds(cohort: Cohort, options: NestedOptions) -> np.ndarray:
    """The outer fold of each patient in each repeat, integers, shape (repeat, patient)."""
    seeds = range(options.seed, options.seed + options.repeats)
    return np.stack([survival_folds(cohort.days, cohort.died, options.folds, 1000 + seed) for seed in seeds])


def nested_cross_validation(
    cohort: Cohort,
    fixed: Mapping[str, ModelSpec],
    options: NestedOptions,
    *,
    folder: Path,
    workers: int = 0,
    told: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> list[SplitRecord]:
    """Judge the search, and models that need none, on patients that they did not see.

    Every finished split is a file below ``folder``; splits of the same patients, options and models are not computed again.

    Args:
        cohort: the patients.
        fixed: models to judge beside the tuned one, by name.
        options: how.
        folder: for the finished splits.
        workers: processes; 0 for none beside this one.
        told: called with the number of splits done, and of all.

    Returns:
        By repeat and fold.

    Raises:
        UserError: if a split cannot be computed.
    """
    place = folder / _key(cohort, fixed, options)
    splits = [(repeat, fold) for repeat in range(options.repeats) for fold in range(options.folds)]
    records = {}
    for split in splits:
        file = _file(place, split)
        if file.is_file():
            record = read_model(file, SplitRecord)
            if options.max_seconds is not None or not record.cut_short:
                records[split] = record
    told(len(records), len(splits))
    waiting = [split for split in splits if split not in records]
    run = partial(_run_split, cohort, dict(fixed), options)
    for done in map_in_workers(run, waiting, workers=workers, describe=_describe):
        if done.result is None:
            raise UserError(f"The split {_describe(done.item)} failed: {done.error}")
        write_json(_file(place, done.item), done.result)
        records[done.item] = done.result
        told(len(records), len(splits))
    return [records[split] for split in splits]


def training_scores(model: SurvivalModel, cohort: Cohort) -> dict[str, float | None]:
    """How well a model tells the patients that it was fitted to: too well, and by how much is worth knowing."""
    table, died = cohort.features, cohort.died
    concordance = harrell_c(cohort.days, died, model.risk(table))
    scores = {"c_harrell": concordance, **portal_scores(cohort.days[died], model.days(table)[died])}
    return {name: float(value) if np.isfinite(value) else None for name, value in scores.items()}


def _run_split(
    cohort: Cohort, fixed: dict[str, ModelSpec], options: NestedOptions, split: tuple[int, int]
) -> SplitRecord:
    started = time.monotonic()
    repeat, fold = split
    folds = outer_folds(cohort, options)[repeat]
    training, held = cohort.rows(np.flatnonzero(folds != fold)), np.flatnonzero(folds == fold)
    search = replace(options.search, seed=options.search.seed + 100 * (1 + repeat * options.folds + fold))
    deadline = None if options.max_seconds is None else started + options.max_seconds
    found = search_model(training, search, deadline=deadline)
    chosen = {TUNED: found.chosen.specs, **{name: (spec,) for name, spec in fixed.items()}}
    days = curve_days(cohort)
    candidates = {}
    for name, specs in chosen.items():
        model = build_model(specs, training, search.objective, folds=search.folds, seed=search.seed)
        table = cohort.features.rows(held)
        candidates[name] = CandidateRecord.of(model, table, days, training_scores(model, training))
    return SplitRecord(
        repeat=repeat,
        fold=fold,
        held=held.tolist(),
        curve_days=days.tolist(),
        candidates=candidates,
        cut_short=found.cut_short,
        seconds=time.monotonic() - started,
    )


def curve_days(cohort: Cohort) -> np.ndarray:
    """Days on which survival curves are scored: quantiles of the days on which patients died, ascending."""
    return np.unique(np.quantile(cohort.days[cohort.died], np.linspace(0.05, 0.95, _CURVE_DAYS)))


def _key(cohort: Cohort, fixed: Mapping[str, ModelSpec], options: NestedOptions) -> str:
    """Of everything that the splits depend on."""
    content = hashlib.sha256()
    for array in (cohort.features.values, cohort.days, cohort.died):
        content.update(np.ascontiguousarray(array).tobytes())
    # More repeats, or another limit of time, leave the splits that are there what they are.
    told = asdict(replace(options, repeats=0, max_seconds=None))
    models = {name: spec.model_dump_json() for name, spec in fixed.items()}
    made_by = [PROCEDURE_VERSION, *(f"{name} {version(name)}" for name in (*LIBRARIES, "optuna"))]
    content.update(repr((cohort.features.names, told, models, made_by)).encode())
    return content.hexdigest()[:16]


def _file(folder: Path, split: tuple[int, int]) -> Path:
    return folder / f"repeat_{split[0]}_fold_{split[1]}.json"


def _describe(split: tuple[int, int]) -> str:
    return f"fold {split[1]} of repeat {split[0]}"
