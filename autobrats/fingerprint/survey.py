"""The survey: every case is read once, checked and measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.faults import Fault
from autobrats.dataset.integrity import check_dataset, expects_brains
from autobrats.fingerprint.cases import CaseSurvey, survey_case
from autobrats.fingerprint.dataset import DatasetFingerprint, summarise
from autobrats.workers import map_in_workers


def survey(
    dataset: Dataset, workers: int = 0, on_progress: Callable[[int, int], None] | None = None
) -> tuple[DatasetFingerprint, list[Fault]]:
    """Read every case once, check it and measure it.

    Args:
        workers: so many processes; 0 runs in this one.
        on_progress: called with (cases done, cases in all), at once and after each case.

    Returns:
        The fingerprint of the cases without errors, and all faults in the order of the cases.
    """
    report = on_progress or (lambda done, total: None)
    survey_one = partial(
        survey_case,
        modalities=dataset.modalities,
        convention=dataset.convention,
        brains=expects_brains(dataset.modalities, dataset.convention),
    )
    results: dict[str, CaseSurvey] = {}
    report(0, len(dataset.cases))
    for done in map_in_workers(survey_one, dataset.cases, workers=workers, describe=_name):
        results[done.item.name] = done.result or _failed(done.item, str(done.error))
        report(len(results), len(dataset.cases))
    surveys = [results[case.name] for case in dataset.cases]
    faults = [fault for result in surveys for fault in result.faults]
    faults += check_dataset(dataset, {result.case: result.digests for result in surveys})
    faulty = {fault.case for fault in faults if fault.severity == "error"}
    fingerprints = {
        result.case: result.fingerprint
        for result in surveys
        if result.fingerprint is not None and result.case not in faulty
    }
    return summarise(fingerprints), faults


def _name(case: Case) -> str:
    return case.name


def _failed(case: Case, error: str) -> CaseSurvey:
    file = next((image.path for image in case.images.values()), None)
    fault = Fault("error", case.name, file, "unreadable", f"reading it failed: {error}", "look at the case's files")
    return CaseSurvey(case.name, None, [fault])
