"""Which predictions can be scored: those of patients in the clinical table whose survival is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.dataset.clinical.ids import match_ids
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError

GROSS_TOTAL = "GTR"


@dataclass(frozen=True)
class Outcomes:
    """What became of predicted patients.

    Attributes:
        patients: who can be scored, as the predictions call them.
        rows: of the predictions, in the order of ``patients``.
        days: to death or censoring, shape (patient,).
        died: bool, shape (patient,).
        strangers: predicted, but not in the clinical table.
        left_out: predicted and in the table, but not scored; why, by patient.
        unpredicted: of the table, who could have been scored but was not predicted.
    """

    patients: tuple[str, ...]
    rows: tuple[int, ...]
    days: np.ndarray
    died: np.ndarray
    strangers: tuple[str, ...]
    left_out: Mapping[str, str]
    unpredicted: tuple[str, ...]


def match_outcomes(predicted: Sequence[str], records: Sequence[ClinicalRecord], *, gtr_only: bool = False) -> Outcomes:
    """Find the outcome of each predicted patient.

    Args:
        predicted: ids of patients, each once; other spellings than in the records are recognised.
        records: the clinical table.
        gtr_only: leave out whose tumour was not resected totally, as the BraTS portal does since 2018.

    Raises:
        UserError: if two predictions are of one patient, an id is ambiguous, or no record says how much was resected
            though ``gtr_only`` asks for it.
    """
    if gtr_only and all(record.resection is None for record in records):
        raise UserError("The clinical table says of nobody how much was resected; leave out --gtr-only.")
    found = match_ids(predicted, records)
    owners: dict[str, str] = {}
    for name, record in found.items():
        if (other := owners.setdefault(record.patient, name)) != name:
            raise UserError(
                f"{other} and {name} are both the patient {record.patient}; leave one prediction a patient."
            )
    reasons = {name: reason for name, record in found.items() if (reason := _reason(record, gtr_only))}
    rows = [row for row, name in enumerate(predicted) if name in found and name not in reasons]
    scored = [found[predicted[row]] for row in rows]
    return Outcomes(
        patients=tuple(predicted[row] for row in rows),
        rows=tuple(rows),
        days=np.array([record.survival_days for record in scored], np.float64),
        died=np.array([record.died for record in scored], bool),
        strangers=tuple(name for name in predicted if name not in found),
        left_out=reasons,
        unpredicted=tuple(
            record.patient for record in records if record.patient not in owners and not _reason(record, gtr_only)
        ),
    )


def known_outcomes(records: Sequence[ClinicalRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Days and died of everyone whose survival is known, each of shape (patient,).

    Raises:
        UserError: if nobody's is.
    """
    known = [record for record in records if record.has_survival]
    if not known:
        raise UserError("The clinical table says of nobody how long they lived.")
    days = np.array([record.survival_days for record in known], np.float64)
    return days, np.array([record.died for record in known], bool)


def _reason(record: ClinicalRecord, gtr_only: bool) -> str:
    if not record.has_survival:
        return "survival is not known"
    if gtr_only and record.resection != GROSS_TOTAL:
        return f"resection is {record.resection or 'not known'}, not {GROSS_TOTAL}"
    return ""
