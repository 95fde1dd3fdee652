"""Predictions find their patients, whichever way the ids are spelled; who cannot be scored is told why."""

from __future__ import annotations

import pytest

from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError
from autobrats.evaluation.survival.matching import known_outcomes, match_outcomes

RECORDS = [
    ClinicalRecord("UCSF-PDGM-004", survival_days=1303, died=True, resection="STR", aliases=("BraTS2021_00097",)),
    ClinicalRecord("UCSF-PDGM-005", survival_days=274, died=False, resection="GTR"),
    ClinicalRecord("UCSF-PDGM-008", resection="GTR"),
    ClinicalRecord("UCSF-PDGM-010", survival_days=17, died=False),
]


def test_outcomes_come_in_the_order_of_the_predictions() -> None:
    outcomes = match_outcomes(["UCSF-PDGM-0005", "nobody", "BraTS2021_00097", "ucsf_pdgm_8"], RECORDS)
    assert outcomes.patients == ("UCSF-PDGM-0005", "BraTS2021_00097") and outcomes.rows == (0, 2)
    assert outcomes.days.tolist() == [274, 1303] and outcomes.died.tolist() == [False, True]
    assert outcomes.strangers == ("nobody",)
    assert outcomes.left_out == {"ucsf_pdgm_8": "survival is not known"}
    assert outcomes.unpredicted == ("UCSF-PDGM-010",)


def test_only_total_resections() -> None:
    outcomes = match_outcomes(["UCSF-PDGM-004", "UCSF-PDGM-005", "UCSF-PDGM-010"], RECORDS, gtr_only=True)
    assert outcomes.patients == ("UCSF-PDGM-005",) and outcomes.unpredicted == ()
    assert list(outcomes.left_out.values()) == ["resection is STR, not GTR", "resection is not known, not GTR"]
    with pytest.raises(UserError, match="gtr-only"):
        match_outcomes(["UCSF-PDGM-010"], RECORDS[3:], gtr_only=True)


def test_two_predictions_of_one_patient_are_refused() -> None:
    with pytest.raises(UserError, match="both the patient UCSF-PDGM-004"):
        match_outcomes(["BraTS2021_00097", "UCSF-PDGM-004"], RECORDS)


def test_outcomes_of_everyone() -> None:
    days, died = known_outcomes(RECORDS)
    assert days.tolist() == [1303, 274, 17] and died.tolist() == [True, False, False]
    with pytest.raises(UserError, match="how long"):
        known_outcomes(RECORDS[2:3])
