"""Ids that mean the same patient, and those that could be two."""

from __future__ import annotations

import pytest

from autobrats.dataset.clinical.ids import match_ids, split_timepoint
from autobrats.dataset.clinical.record import ClinicalRecord
from autobrats.errors import UserError


def matched(wanted: str, *known: str) -> str | None:
    """The patient that an id is taken for."""
    found = match_ids([wanted], [ClinicalRecord(name) for name in known])
    return found[wanted].patient if found else None


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        ("UCSF-PDGM-0004", "UCSF-PDGM-004"),
        ("UCSF-PDGM-004", "UCSF-PDGM-0004"),
        ("ucsf_pdgm_4", "UCSF-PDGM-0004"),
        ("UCSF-PDGM-0004_T1gad_bias.nii.gz", "UCSF-PDGM-004"),
        ("BraTS20_Training_001_lesion1", "BraTS20_Training_001"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001"),
        ("UPENN-GBM-00001", "UPENN-GBM-00001_11"),
        ("BraTS-GLI-00005", "BraTS-GLI-00005-000"),
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005"),
        ("pat7.nii.gz", "PAT007"),
    ],
)
def test_spellings_of_one_patient(wanted, known):
    assert matched(wanted, "Other_1", known, "UCSF-PDGM-0041") == known


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001_11"),  # survival counts from the first scan
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005-000"),
        ("BraTS20_Training_0011", "BraTS20_Training_001"),
        ("BraTS20_Training_1", "BraTS20_Training_10"),
        ("UCSF-PDGM-040", "UCSF-PDGM-004"),
        ("Brats17_CBICA_AAB_1", "BraTS19_CBICA_AAB_1"),
        ("a", ""),
    ],
)
def test_ids_of_different_patients_or_time_points(wanted, known):
    assert matched(wanted, known) is None


def test_the_closest_spelling_wins():
    assert matched("p1", "P1", "p1", "p01") == "p1"
    assert matched("site_1_lesion2", "site", "site_1") == "site_1"


def test_the_earliest_time_point_stands_for_the_patient():
    assert matched("UPENN-GBM-00036", "UPENN-GBM-00036_21", "UPENN-GBM-00036_11") == "UPENN-GBM-00036_11"
    assert matched("BraTS-GLI-00005", "BraTS-GLI-00005-010", "BraTS-GLI-00005-002") == "BraTS-GLI-00005-002"


@pytest.mark.parametrize(
    ("wanted", "known"),
    [("p1", ("P1", "p01")), ("site-3", ("site-3-001", "site-3-002")), ("P1.nii", ("p1", "p_1", "p01"))],
)
def test_an_ambiguous_id_is_refused_with_both_names(wanted, known):
    with pytest.raises(UserError, match=f"'{wanted}' could be the patient {known[0]} or {known[-1]}"):
        matched(wanted, *known[:1], *known[-1:])


def test_aliases_are_ids():
    records = [ClinicalRecord("UCSF-PDGM-004", aliases=("BraTS2021_00097",)), ClinicalRecord("UCSF-PDGM-005")]
    assert match_ids(["BraTS2021_00097", "BraTS2021_97_t1", "nobody"], records) == {
        "BraTS2021_00097": records[0],
        "BraTS2021_97_t1": records[0],
    }
    shared = [ClinicalRecord("a", aliases=("x",)), ClinicalRecord("b", aliases=("x",))]
    with pytest.raises(UserError, match="'x' could be the patient a or b"):
        match_ids(["x"], shared)
    assert match_ids(["a", "b"], shared) == {"a": shared[0], "b": shared[1]}


def test_time_points():
    assert split_timepoint("UPENN-GBM-00036_21") == ("UPENN-GBM-00036", "21")
    assert split_timepoint("BraTS-GLI-00005-001") == ("BraTS-GLI-00005", "001")
    assert split_timepoint("Brats17_TCIA_167_1") == ("Brats17_TCIA_167_1", None)
