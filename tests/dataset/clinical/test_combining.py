"""Survival in one table, grades in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.combining import combine_tables
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError


def table(*records: ClinicalRecord, name: str = "t.csv") -> ClinicalTable:
    return ClinicalTable(list(records), [], {"patient": "ID"}, Path(name))


def test_what_one_table_lacks_the_other_fills_in():
    survival = table(ClinicalRecord("B19_1", survival_days=90, died=True), ClinicalRecord("B19_2", age_years=50))
    grades = table(
        ClinicalRecord("B17_2", grade=2, age_years=51, aliases=("B19_2",)),
        ClinicalRecord("B17_1", grade=4, aliases=("B19_1",)),
        ClinicalRecord("B17_3", grade=4),
        name="grades.csv",
    )
    both = combine_tables([survival, grades])
    assert both.records == [
        ClinicalRecord("B19_1", survival_days=90, died=True, grade=4, aliases=("B17_1",)),
        ClinicalRecord("B19_2", age_years=50, grade=2, aliases=("B17_2",)),
        ClinicalRecord("B17_3", grade=4),
    ]
    assert [(it.kind, it.patients) for it in both.findings] == [("contradiction", ("B19_2",))]
    assert "grades.csv says otherwise of age_years" in both.findings[0].message


def test_a_survival_that_two_tables_contradict_is_left_out():
    first, second = (table(ClinicalRecord("a", survival_days=days, died=True)) for days in (90, 91))
    assert not combine_tables([first, second]).records[0].has_survival
    assert combine_tables([first, first]).records == first.records


def test_a_patient_who_could_be_two_is_refused():
    with pytest.raises(UserError, match="'x' could be a or b"):
        combine_tables(
            [table(ClinicalRecord("a"), ClinicalRecord("b")), table(ClinicalRecord("x", aliases=("a", "b")))]
        )
