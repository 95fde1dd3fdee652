"""Ids of the same patient that are spelled differently: in images, features and clinical tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from autobrats.dataset.brats_layout import patient_of
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.dataset.volumes import image_stem
from autobrats.errors import UserError

_UPENN = re.compile(r"(UPENN-GBM-\d{5})_(\d\d)", re.I)
Parts = tuple[str, ...]


def split_timepoint(name: str) -> tuple[str, str | None]:
    """The patient and the time point of ``BraTS-GLI-00005-001`` or ``UPENN-GBM-00036_21``; else the name and None."""
    upenn = _UPENN.fullmatch(name)
    return (upenn[1], upenn[2]) if upenn else patient_of(name)


def match_ids(wanted: Sequence[str], known: Sequence[ClinicalRecord]) -> dict[str, ClinicalRecord]:
    """Find the record of each id.

    An id is looked for among all ids of the records, aliases included: as it is; then whatever the letter case, the
    separators, padding zeros and an image's suffix (``UCSF-PDGM-0004.nii.gz`` is ``UCSF-PDGM-004``); then the longest of
    them that it begins with, separator included (``BraTS20_Training_001_lesion1`` is ``BraTS20_Training_001``); then those
    that begin with it, of which there must be one patient (``UPENN-GBM-00036`` is ``UPENN-GBM-00036_11``, the earliest
    time point).

    Args:
        wanted: ids of cases or patients.
        known: records of different patients.

    Returns:
        The record of each wanted id that has one.

    Raises:
        UserError: if an id could be several patients; both are named.
    """
    index = _Index(known)
    found = {}
    for name in wanted:
        record = index.find(name)
        if record is not None:
            found[name] = record
    return found


class _Index:
    """The ids of records, as they are and in parts."""

    def __init__(self, records: Iterable[ClinicalRecord]) -> None:
        self.exact: dict[str, list[ClinicalRecord]] = {}
        self.parts: dict[Parts, list[ClinicalRecord]] = {}
        self.beginnings: dict[Parts, list[ClinicalRecord]] = {}
        for record in records:
            for name in record.ids:
                parts = _parts(name)
                self.exact.setdefault(name, []).append(record)
                self.parts.setdefault(parts, []).append(record)
                for length in range(1, len(parts)):
                    self.beginnings.setdefault(parts[:length], []).append(record)

    def find(self, name: str) -> ClinicalRecord | None:
        """The record of an id; None if there is none."""
        if name in self.exact:
            return _only(name, self.exact[name])
        parts = _parts(name)
        for length in range(len(parts), 0, -1):
            if candidates := self.parts.get(parts[:length]):
                return _only(name, candidates)
        if candidates := self.beginnings.get(parts):
            return _only(name, _earliest(candidates))
        return None


def _parts(name: str) -> Parts:
    """``UCSF-PDGM-0004.nii.gz`` as ``("ucsf", "pdgm", "4")``."""
    stem = image_stem(Path(name)) if "/" not in name else name
    return tuple(re.sub(r"(?<!\d)0+(?=\d)", "", part) for part in re.split(r"[\W_]+", stem.casefold()) if part)


def _earliest(candidates: Sequence[ClinicalRecord]) -> list[ClinicalRecord]:
    """The record of the first time point, if all are time points of one patient; else the candidates."""
    split = [(split_timepoint(record.patient), record) for record in candidates]
    if len({patient.lower() for (patient, _), _ in split}) > 1 or any(timepoint is None for (_, timepoint), _ in split):
        return list(candidates)
    return [min(split, key=lambda it: int(it[0][1] or 0))[1]]


def _only(name: str, candidates: Sequence[ClinicalRecord]) -> ClinicalRecord:
    patients = {record.patient: record for record in candidates}
    if len(patients) > 1:
        first, second, *_ = patients
        raise UserError(
            f"'{name}' could be the patient {first} or {second} of the clinical table; give both sides the same ids."
        )
    return candidates[0]
