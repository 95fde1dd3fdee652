"""Features and clinical records joined: patients to learn from, or patients to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autobrats.dataset.clinical.ids import match_ids, split_timepoint
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError
from autobrats.survival.clinical_features import CLINICAL_FEATURES, clinical_features
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable

LEAST_PATIENTS = 20
LEAST_DEATHS = 10
"""With fewer, no model can be told from chance."""

_SAME_ORDER, _ENOUGH_TO_TELL = 0.999, 10
"""A rank correlation that no feature has with the days by chance or nature, among at least so many patients."""
_VOLUMES = ("size_WT_ml", "WT_shape_VoxelVolume", "WT_shape_MeshVolume", "original_shape_VoxelVolume")
"""Features that say how large a tumour is, the first that is there counts."""


@dataclass(frozen=True)
class _Row:
    """A case with its patient's record.

    Attributes:
        case: as the features call it.
        index: of its row in the features; None without features.
        record: of the patient.
        volume: of the tumour, in any unit; 0 if it is not known.
    """

    case: str
    index: int | None
    record: ClinicalRecord
    volume: float = 0.0


def build_cohort(
    features: FeatureTable | None,
    records: Sequence[ClinicalRecord],
    *,
    patients: Mapping[str, str] | None = None,
    gtr_only: bool = False,
    min_days: float = 0.0,
    least_patients: int = LEAST_PATIENTS,
    least_deaths: int = LEAST_DEATHS,
) -> tuple[Cohort, list[str]]:
    """The patients whose survival is known, one row each: the clinical columns, then the features.

    Of several cases of a patient, those with a survival count, of them the earliest time point, of its cases (lesions) the
    one with the largest tumour, of equal ones the first.

    Args:
        features: a row a case or patient; None for clinical columns alone.
        records: of the patients; ids may be spelled differently (:func:`match_ids`).
        patients: the patient of each case in ``features``, where a name does not tell it.
        gtr_only: whether patients without a gross total resection are left out, as the BraTS portal does.
        min_days: patients whose last day is earlier are left out.
        least_patients, least_deaths: that there must be.

    Returns:
        The cohort, under the ids of the clinical table and in the order of the features (of the records without features),
        and sentences on who was left out and how ids were matched.

    Raises:
        UserError: if nothing can be joined, an id could be two patients, or too few patients or deaths are left.
    """
    rows, notes = _joined_rows(features, records, patients or {})
    rows, dropped = _kept(rows, gtr_only, min_days)
    notes += dropped
    chosen = _one_a_patient(rows, patients or {})
    if further := len(rows) - len(chosen):
        notes.append(
            f"{further} further case{'s' * (further > 1)} of patients with several left out: the earliest time point "
            "counts, and of its lesions the largest"
        )
    died = np.array([row.record.died is True for row in chosen], dtype=bool)
    _check_size(len(chosen), int(died.sum()), least_patients, least_deaths, gtr_only, notes)
    notes.append(f"{len(chosen)} patients with survival, {int(died.sum())} of them died")
    table = clinical_features([row.record for row in chosen])
    if features is not None:
        rest = features.rows([row.index for row in chosen if row.index is not None])
        table = _with_clinical(table, replace(rest, patients=table.patients))
    days = np.array([row.record.survival_days for row in chosen], dtype=np.float64)
    if telling := _telling_columns(table, days, died):
        notes.append(f"left out of the features, because they tell the outcome: {', '.join(telling)}")
        table = table.select([name for name in table.names if name not in telling])
    return Cohort(table, days, died), notes


def build_features(
    features: FeatureTable | None, records: Sequence[ClinicalRecord], *, patients: Mapping[str, str] | None = None
) -> FeatureTable:
    """The columns of :func:`build_cohort` for patients whose survival is to be predicted.

    Args:
        features: a row a case or patient; None for clinical columns alone.
        records: may lack some of them, or all: their clinical columns are NaN.
        patients: the patient of each case in ``features``, where a name does not tell it.

    Returns:
        A row of every row of the features, under its name there; without features, of every record.

    Raises:
        UserError: if there are records but none of the features' patients, or an id could be two patients.
    """
    if features is None:
        return clinical_features(records)
    found = _records_of(features.patients, records, patients or {})
    if records and not found:
        raise UserError(_nothing_joined(features, records))
    known = [replace(found.get(name, _NOBODY), patient=name) for name in features.patients]
    return _with_clinical(clinical_features(known), features)


_NOBODY = ClinicalRecord("")


def _telling_columns(table: FeatureTable, days: np.ndarray, died: np.ndarray) -> list[str]:
    """Columns that put the patients in the order of their days, or that say who died, whatever they are called."""
    from scipy.stats import rankdata

    if len(days) < _ENOUGH_TO_TELL:
        return []
    order = rankdata(days)
    telling = []
    for name, values in zip(table.names, table.values.T):
        known = np.isfinite(values)
        if known.sum() < max(_ENOUGH_TO_TELL, 0.5 * len(days)) or np.ptp(values[known]) == 0:
            continue
        by_days = abs(np.corrcoef(rankdata(values[known]), rankdata(order[known]))[0, 1]) > _SAME_ORDER
        first = values[known] == values[known].min()
        by_death = len(np.unique(values[known])) == 2 and 0 < died[known].sum() < known.sum()
        if by_days or (by_death and (np.array_equal(first, died[known]) or np.array_equal(first, ~died[known]))):
            telling.append(name)
    return telling


def _joined_rows(
    features: FeatureTable | None, records: Sequence[ClinicalRecord], patients: Mapping[str, str]
) -> tuple[list[_Row], list[str]]:
    """Every case with a record, and notes on those without."""
    if features is None:
        return [_Row(record.patient, None, record) for record in records], []
    found = _records_of(features.patients, records, patients)
    volumes = _volumes(features)
    rows = [
        _Row(case, index, found[case], volumes[index]) for index, case in enumerate(features.patients) if case in found
    ]
    if not rows:
        raise UserError(_nothing_joined(features, records))
    return rows, _notes_on_joining(features, records, rows)


def _records_of(
    cases: Sequence[str], records: Sequence[ClinicalRecord], patients: Mapping[str, str]
) -> dict[str, ClinicalRecord]:
    """The record of each case that has one: by the case's name, else by its patient's."""
    found = match_ids(cases, records)
    others = [case for case in cases if case in patients and case not in found]
    by_patient = match_ids([patients[case] for case in others], records)
    return found | {case: by_patient[patients[case]] for case in others if patients[case] in by_patient}


def _notes_on_joining(features: FeatureTable, records: Sequence[ClinicalRecord], rows: Sequence[_Row]) -> list[str]:
    notes = []
    cases, joined = {row.case for row in rows}, {row.record.patient for row in rows}
    if unknown := [case for case in features.patients if case not in cases]:
        notes.append(f"{_rows(unknown)} of the features left out: not in the clinical table, such as {unknown[0]}")
    if unused := [record.patient for record in records if record.patient not in joined]:
        notes.append(f"{_rows(unused)} of the clinical table left out: without features, such as {unused[0]}")
    if other := [row for row in rows if row.case != row.record.patient]:
        ids = f"{len(other)} id{'s are' if len(other) > 1 else ' is'}"
        notes.append(f"{ids} spelled differently: {other[0].case} is {other[0].record.patient} in the clinical table")
    return notes


def _rows(names: Sequence[str]) -> str:
    return f"{len(names)} row{'s' * (len(names) > 1)}"


def _volumes(features: FeatureTable) -> np.ndarray:
    name = next((name for name in _VOLUMES if name in features.names), None)
    return np.nan_to_num(features.column(name)) if name else np.zeros(len(features.patients))


def _kept(rows: Sequence[_Row], gtr_only: bool, min_days: float) -> tuple[list[_Row], list[str]]:
    """The rows of patients to learn from, and how many patients were left out for what."""
    notes = []

    def without(kept: Sequence[_Row], before: Sequence[_Row], why: str) -> list[_Row]:
        gone = {_patient(row) for row in before} - {_patient(row) for row in kept}
        if gone:
            notes.append(f"{len(gone)} patient{'s' * (len(gone) > 1)} left out: {why}")
        return list(kept)

    kept = without([row for row in rows if row.record.has_survival], rows, "survival is not known")
    if gtr_only:
        gtr = [row for row in kept if row.record.resection == "GTR"]
        kept = without(gtr, kept, "no gross total resection, or not known")
    late = [row for row in kept if (row.record.survival_days or 0.0) >= min_days]
    return without(late, kept, f"the last day is before day {min_days:g}"), notes


def _one_a_patient(rows: Sequence[_Row], patients: Mapping[str, str]) -> list[_Row]:
    """The row of each patient, in the order of the patients' first rows.

    Two rows are of one patient if their records are, or if the caller says so.
    """
    owner: dict[str, str] = {}
    by_patient: dict[str, list[_Row]] = {}
    for row in rows:
        name = _patient(row)
        name = owner.setdefault(patients[row.case], name) if row.case in patients else name
        by_patient.setdefault(name, []).append(row)
    return [min(several, key=lambda row: (_timepoint(row), -row.volume)) for several in by_patient.values()]


def _patient(row: _Row) -> str:
    return split_timepoint(row.record.patient)[0]


def _timepoint(row: _Row) -> tuple[int, int]:
    """By the record's id, then by the case's; an id without one is the baseline."""
    return _number(split_timepoint(row.record.patient)[1]), _number(split_timepoint(row.case)[1])


def _number(timepoint: str | None) -> int:
    return int(timepoint) if timepoint else 0


def _with_clinical(clinical: FeatureTable, features: FeatureTable) -> FeatureTable:
    if both := sorted(set(CLINICAL_FEATURES) & set(features.names)):
        raise UserError(
            f"The table of features has the column {both[0]}, which is made of the clinical table; "
            "take it out of the features."
        )
    return clinical.joined(features)


def _check_size(
    patients: int, deaths: int, least_patients: int, least_deaths: int, gtr_only: bool, notes: Sequence[str]
) -> None:
    if patients >= least_patients and deaths >= least_deaths:
        return
    rule = " and a gross total resection" if gtr_only else ""
    because = f" ({'; '.join(notes)})" if notes else ""
    raise UserError(
        f"There are {patients} patients with known survival{rule}, of whom {deaths} died{because}; "
        f"a model needs at least {least_patients} patients and {least_deaths} deaths."
    )


def _nothing_joined(features: FeatureTable, records: Sequence[ClinicalRecord]) -> str:
    theirs = f"like '{records[0].patient}'" if records else "none at all"
    mine = f"like '{features.patients[0]}'" if features.patients else "none at all"
    return (
        f"No patient of the features is in the clinical table: the features have ids {mine}, the clinical table {theirs}; "
        "give both the same ids."
    )
