"""Survival on real tables: what the baselines reach, and that nothing in the way of the data loses a patient."""

from pathlib import Path

import pytest

from autobrats.survival.cohort_building import build_cohort
from autobrats.survival.result_rows import NestedResults
from autobrats.survival.survival_inputs import Sources, read_inputs
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.nested import TUNED, NestedOptions, nested_cross_validation, outer_folds
from autobrats.survival.tuning.nested_scores import BRIEF, nested_scores
from autobrats.survival.tuning.search import SearchOptions

pytestmark = pytest.mark.realdata


def judged_baselines(cohort, objective, folder):
    """Scores of the baselines, each fitted in five folds, by name."""
    options = NestedOptions(SearchOptions(objective, trials=0, repeats=1), repeats=1)
    simplest = baselines(cohort, objective)
    records = nested_cross_validation(cohort, simplest, options, folder=folder)
    folds = outer_folds(cohort, options)
    results = NestedResults.of(cohort, objective, folds, records, [TUNED, *simplest])
    return {name: nested_scores(cohort, results.predictions[name], folds, BRIEF) for name in simplest}


def test_ucsf_pdgm(realdata: Path, tmp_path: Path) -> None:
    """Of 391 patients the C-index of age, and what grade and resection add, as scikit-survival finds them too."""
    folder = realdata / "ucsf_pdgm"
    inputs = read_inputs(
        Sources(features=folder / "radiomics_t1c.csv", clinical=(folder / "clinical.csv",)), cache=None
    )
    cohort, _ = build_cohort(inputs.features, inputs.clinical.records)
    assert (len(cohort), int(cohort.died.sum()), len(cohort.features.names)) == (391, 198, 109)
    scores = judged_baselines(cohort, "c_index", tmp_path)
    found = {name: score["c_harrell"].value for name, score in scores.items()}
    assert found["age"] == pytest.approx(0.688, abs=0.015)
    assert found["age and grade"] == pytest.approx(0.710, abs=0.015)
    assert found["age, grade and resection"] == pytest.approx(0.745, abs=0.015)


def test_brats_2020(realdata: Path, tmp_path: Path) -> None:
    """The reference figure for ridge regression on age is an accuracy of 0.436."""
    table = realdata / "brats2020_labels" / "survival_info.csv"
    inputs = read_inputs(Sources(clinical=(table,)), cache=None)
    cohort, _ = build_cohort(None, inputs.clinical.records)
    assert len(cohort) == 195 and cohort.died.all()
    age = judged_baselines(cohort, "spearman", tmp_path)["age"]
    assert age["accuracy"].value == pytest.approx(0.436, abs=0.03)
    assert age["accuracy"].low < 0.436 < age["accuracy"].high
    assert age["spearman_r"].value == pytest.approx(0.41, abs=0.05)
