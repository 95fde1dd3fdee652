"""Unlabelled studies: read in any layout, checked and preprocessed like the dataset, and kept apart from what is held back."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.integrity import check_study, expects_brains
from autobrats.dataset.reading import read_studies
from autobrats.errors import UserError
from autobrats.plan import Plan
from autobrats.preprocessing.dataset import Job, jobs_to_do, preprocess_case
from autobrats.preprocessing.store import CaseStore
from autobrats.workers import map_in_workers

_log = logging.getLogger(__name__)

NAMES_TOLD = 5
"""So many names are listed in a message."""


@dataclass(frozen=True)
class UnlabelledStudies:
    """Studies without masks, preprocessed.

    Attributes:
        folder: where they lie, as the user gave it, absolute.
        store: of their images.
        patients: by study.
        left_out: studies of the folder that are not used, and why.
    """

    folder: Path
    store: CaseStore
    patients: dict[str, str]
    left_out: dict[str, str]

    @property
    def names(self) -> list[str]:
        return list(self.patients)

    @property
    def sha256(self) -> str:
        """Of the studies' names and of what their stored images were made from."""
        facts = [[name, self.store.properties(name).made_from] for name in sorted(self.patients)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def without(self, reasons: dict[str, str]) -> UnlabelledStudies:
        """The others, where ``reasons`` says why some are not used."""
        kept = {name: patient for name, patient in self.patients.items() if name not in reasons}
        return UnlabelledStudies(self.folder, self.store, kept, {**self.left_out, **reasons})


def read_unlabelled(path: Path, plan: Plan, stores: Path, workers: int) -> UnlabelledStudies:
    """Find the studies at a path and preprocess those that are not preprocessed yet; masks are not looked at.

    They are checked as autobrats_plan checks a dataset's; a study with an error is left out and told in a sentence.

    Args:
        path: studies in any layout.
        plan: whose preprocessing they get.
        stores: the folder in which each path of unlabelled studies gets a store of its own.
        workers: processes; 0 works in this one.

    Raises:
        UserError: if there is no study that can be used.
    """
    cases, faults = read_studies(path, plan.modalities)
    named = {case.name for case in cases}
    left_out = {
        fault.case: f"{fault.message}; {fault.remedy}"
        for fault in faults
        if fault.severity == "error" and fault.case and fault.case not in named
    }
    path = Path(path).resolve()
    store = CaseStore(stores / _store_name(path))
    usable: dict[str, Case] = {}
    for case in cases:
        if case.name in usable:
            raise UserError(f"Two studies in {path} are called {case.name}; give one of them another name.")
        usable[case.name] = case.model_copy(update={"mask": None})
    jobs = jobs_to_do(usable.values(), plan, store)
    if jobs:
        _log.info("Preprocessing %d unlabelled studies of %s.", len(jobs), path)
    for done in map_in_workers(_check_and_preprocess, jobs, workers=min(workers, len(jobs)), describe=_name_of):
        if done.error is not None:
            left_out[done.item.case.name] = done.error
    for name, reason in left_out.items():
        _log.warning("The unlabelled study %s is left out: %s", name, reason)
    patients = {name: case.patient for name, case in sorted(usable.items()) if name not in left_out}
    if not patients:
        raise UserError(f"None of the studies in {path} can be used.")
    return UnlabelledStudies(path, store, patients, left_out)


def for_fold(
    studies: UnlabelledStudies, dataset: Dataset, labelled: CaseStore, training: Sequence[str], channels: Sequence[int]
) -> UnlabelledStudies:
    """The studies that may be used beside the training cases of a fold.

    An annotated case that the fold does not train on is held back, be it for validation or for a test. A study is left out,
    with a warning, if it has the name, the patient or an image of such a case: trained on, it would make the fold's scores
    too good. It is left out as well if it has the name or an image of a training case, being labelled already, or if it has
    none of the modalities that the network sees.

    Args:
        dataset: the labelled cases.
        labelled: the same, preprocessed.
        training: names of the fold's training cases.
        channels: which of the plan's modalities the network sees, by index.

    Raises:
        UserError: if no study is left.
    """
    trained = set(training)
    held_back = [case for case in dataset.cases if case.mask is not None and case.name not in trained]
    patients = {case.patient: case.name for case in held_back}
    held_back_names = {case.name for case in held_back}
    copies = _copies(studies, labelled, {*trained, *held_back_names})
    leaks, already, unseen = {}, {}, {}
    for name, patient in studies.patients.items():
        if name in held_back_names:
            leaks[name] = "the fold holds this case back"
        elif patient in patients:
            leaks[name] = f"the fold holds back {patients[patient]} of the same patient"
        elif held := copies.get(name, set()) & held_back_names:
            leaks[name] = f"it has the same image as {min(held)}, which the fold holds back"
        elif name in trained:
            already[name] = "it is a labelled training case"
        elif name in copies:
            already[name] = f"it has the same image as the labelled training case {min(copies[name])}"
        elif not any(studies.store.properties(name).present[channel] for channel in channels):
            unseen[name] = "it has none of the modalities that the network sees"
    if leaks:
        _log.warning("Not used, because the fold holds them back: %s.", _listed(leaks))
    if already:
        _log.info("Not used as unlabelled, because the fold trains on their labels: %s.", _listed(already))
    if unseen:
        _log.warning("Not used as unlabelled: %s.", _listed(unseen))
    left = studies.without({**leaks, **already, **unseen})
    if not left.names:
        raise UserError(f"None of the {len(studies.names)} studies in {studies.folder} can be used for this fold.")
    return left


def _copies(studies: UnlabelledStudies, labelled: CaseStore, names: Iterable[str]) -> dict[str, set[str]]:
    """By study, the labelled cases with which it shares an image, voxel by voxel.

    Only cases that lie on grids of the same shape are read: the same image is preprocessed to the same grid.
    """
    by_shape: dict[tuple[int, int, int], list[str]] = {}
    for name in names:
        by_shape.setdefault(labelled.properties(name).shape, []).append(name)
    digests: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for study in studies.names:
        alike = by_shape.get(studies.store.properties(study).shape, [])
        own = _digests(studies.store, study) if alike else set()
        for name in alike:
            if name not in digests:
                digests[name] = _digests(labelled, name)
            if not own.isdisjoint(digests[name]):
                found.setdefault(study, set()).add(name)
    return found


def _digests(store: CaseStore, name: str) -> set[str]:
    """Of each image of a case that is not empty."""
    images = np.asarray(store.images(name)[:])
    return {hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images if image.any()}


def _check_and_preprocess(job: Job) -> None:
    brains = expects_brains(job.modalities, job.convention)
    for fault in check_study(job.case, job.modalities, job.convention, brains).faults:
        if fault.severity == "error":
            raise UserError(f"{fault.message.rstrip('.')}; {fault.remedy}.")
    preprocess_case(job)


def _name_of(job: Job) -> str:
    return job.case.name


def _store_name(path: Path) -> str:
    """Readable, and different for folders of one name."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", path.name).strip("._-")
    return f"{readable}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _listed(reasons: dict[str, str]) -> str:
    first = [f"{name} ({reason})" for name, reason in list(reasons.items())[:NAMES_TOLD]]
    more = len(reasons) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
