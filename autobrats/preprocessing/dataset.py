"""Preprocessing of a whole dataset: in parallel, and only what is not done yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.conventions import Convention
from autobrats.dataset.volumes import files_of, read_mask, read_study
from autobrats.errors import UserError
from autobrats.plan import Plan, Preprocessing
from autobrats.preprocessing.store import CaseStore
from autobrats.preprocessing.transform import preprocess, preprocess_mask
from autobrats.workers import map_in_workers

STORE_VERSION = 2
"""Raised when the stored files change their meaning, so that older ones are made again."""
A_FEW = 4
"""Cases of each worker that are preprocessed ahead before it is asked again whether to go on."""


@dataclass(frozen=True)
class Failure:
    """A case that could not be preprocessed, and why in one sentence."""

    case: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Job:
    """What a worker needs to preprocess one case."""

    case: Case
    modalities: list[str]
    plan: Preprocessing
    convention: Convention
    store: Path
    made_from: str
    seed: int


def preprocess_dataset(
    dataset: Dataset,
    plan: Plan,
    store: CaseStore,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Failure]:
    """Preprocess every case that the store does not hold yet, or holds from other files or another plan.

    Interrupted, it loses the cases that are being made, and the next call goes on with them. Memory is bounded by
    ``workers`` times one study.

    Args:
        workers: processes; 0 works in this one.
        on_progress: called with (cases done, cases in all), at once and after each case.

    Returns:
        The cases that failed; the others are stored.
    """
    jobs = jobs_to_do(dataset.cases, plan, store)
    total = len(dataset.cases)
    done = total - len(jobs)
    report = on_progress or (lambda done, total: None)
    report(done, total)
    failures = []
    for outcome in map_in_workers(preprocess_case, jobs, workers=workers, describe=_describe):
        done += 1
        if outcome.error is not None:
            failures.append(Failure(outcome.item.case.name, outcome.error, outcome.traceback))
        report(done, total)
    return failures


def preprocess_ahead(
    dataset: Dataset, plan: Plan, store: CaseStore, workers: int, is_wanted: Callable[[], bool]
) -> None:
    """Preprocess cases, a few at a time, as long as ``is_wanted()``.

    At the first that fails it ends: :func:`preprocess_dataset` is going to meet that one again and tell.
    """
    jobs = jobs_to_do(dataset.cases, plan, store)
    few = A_FEW * workers
    while len(jobs) >= few and is_wanted():
        outcomes = list(map_in_workers(preprocess_case, jobs[:few], workers=workers, describe=_describe))
        if any(outcome.error is not None for outcome in outcomes):
            return
        jobs = jobs[few:]


def jobs_to_do(cases: Iterable[Case], plan: Plan, store: CaseStore) -> list[Job]:
    """One job for every case that the store does not hold yet, or holds from other files or another plan."""
    jobs = []
    for case in cases:
        made_from = fingerprint_of_sources(case, plan) or ""
        if not store.holds(case.name, made_from):
            job = Job(case, plan.modalities, plan.preprocessing, plan.convention, store.folder, made_from, plan.seed)
            jobs.append(job)
    return jobs


def preprocess_case(job: Job) -> None:
    """Read, transform and store one case."""
    study = read_study(job.case, job.modalities)
    prepared = preprocess(study.images, study.present, study.spacing_mm, job.plan, job.modalities)
    mask = None
    if job.case.mask is not None:
        mask = preprocess_mask(read_mask(job.case.mask, study.geometry), prepared.placement)
    if not job.made_from:
        raise UserError(f"Case {job.case.name}: its files changed while they were read; start again.")
    CaseStore(job.store).write(
        job.case.name,
        job.case.patient,
        prepared,
        mask,
        modalities=job.modalities,
        convention=job.convention,
        made_from=job.made_from,
        seed=job.seed,
    )


def is_preprocessed(case: Case, plan: Plan, store: CaseStore) -> bool:
    """Whether the store holds the case whole, made from the files that are there now and as the plan says."""
    made_from = fingerprint_of_sources(case, plan)
    return made_from is not None and store.holds(case.name, made_from)


def fingerprint_of_sources(case: Case, plan: Plan) -> str | None:
    """Hash of everything a stored case depends on: the plan's preprocessing, and the files' names, sizes and times.

    None if a file is missing.
    """
    facts: dict[str, object] = {
        "version": STORE_VERSION,
        "plan": plan.preprocessing.model_dump(mode="json"),
        "modalities": plan.modalities,
        "convention": plan.convention.model_dump(mode="json"),
        "seed": plan.seed,
        "patient": case.patient,
    }
    files = {**case.images, **({"mask": case.mask} if case.mask is not None else {})}
    for name, file in files.items():
        try:
            statuses = [path.stat() for path in files_of(file.path)]
        except OSError:
            return None
        sizes_and_times = [number for status in statuses for number in (status.st_size, status.st_mtime_ns)]
        facts[f"file {name}"] = [str(file.path), file.channel, *sizes_and_times]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _describe(job: Job) -> str:
    return job.case.name
