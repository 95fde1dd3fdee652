"""Nested cross-validation: nobody is predicted by a model that saw them, it goes on, and the decision is not fooled."""

from dataclasses import replace

import numpy as np
import pytest
from survival.made_up_cohort import made_up_cohort

from autobrats.survival.cohort import Cohort
from autobrats.survival.result_rows import NestedResults
from autobrats.survival.survival_training import PROCEDURE, TrainingOptions, train_survival
from autobrats.survival.tuning.baselines import baselines
from autobrats.survival.tuning.decision import decide, decided_without
from autobrats.survival.tuning.nested import TUNED, NestedOptions, nested_cross_validation, outer_folds
from autobrats.survival.tuning.nested_scores import nested_scores
from autobrats.survival.tuning.search import SearchOptions

pytestmark = pytest.mark.usefixtures("quick_space")


def options(trials=3, repeats=1, objective="c_index", seed=0):
    return NestedOptions(
        SearchOptions(objective, trials=trials, repeats=1, folds=4), folds=4, repeats=repeats, seed=seed
    )


def test_every_patient_is_predicted_once_a_repeat(tmp_path):
    cohort = made_up_cohort(80)
    chosen = options(trials=0, repeats=2)
    records = nested_cross_validation(cohort, {}, chosen, folder=tmp_path)
    assert [(record.repeat, record.fold) for record in records] == [(r, f) for r in range(2) for f in range(4)]
    for repeat in range(2):
        held = sorted(row for record in records if record.repeat == repeat for row in record.held)
        assert held == list(range(80))


def test_the_outcome_of_held_back_patients_changes_nothing_of_their_prediction(tmp_path):
    cohort = made_up_cohort(80, volume_effect=1.0)
    chosen = options(trials=3)
    records = nested_cross_validation(cohort, {}, chosen, folder=tmp_path / "a")
    fold = np.flatnonzero(outer_folds(cohort, chosen)[0] == 0)
    # The days within a fold are swapped among those who died, so that the folds themselves stay as they are.
    days = cohort.days.copy()
    quarter = np.argsort(np.argsort(days[cohort.died])) // (cohort.died.sum() / 4)
    groups = np.full(len(days), -1.0)
    groups[cohort.died] = quarter
    swapped = days.copy()
    for group in range(4):
        members = fold[groups[fold] == group]
        swapped[members] = np.roll(days[members], 1)
    other = Cohort(cohort.features, swapped, cohort.died)
    if not (outer_folds(other, chosen) == outer_folds(cohort, chosen)).all():
        pytest.skip("the swap moved patients to other folds")
    again = nested_cross_validation(other, {}, chosen, folder=tmp_path / "b")
    assert (swapped != days).any()
    assert again[0].candidates[TUNED].risk == records[0].candidates[TUNED].risk
    assert again[1].candidates[TUNED].risk != records[1].candidates[TUNED].risk


def test_finished_splits_are_not_computed_again(tmp_path):
    cohort, chosen = made_up_cohort(60), options(trials=1)
    first = nested_cross_validation(cohort, {}, chosen, folder=tmp_path)
    files = sorted(tmp_path.rglob("*.json"))
    assert len(files) == 4
    files[2].unlink()
    told = []
    again = nested_cross_validation(cohort, {}, chosen, folder=tmp_path, told=lambda done, total: told.append(done))
    assert told == [3, 4]
    assert [record.candidates for record in again] == [record.candidates for record in first]
    nested_cross_validation(cohort, {}, options(trials=2), folder=tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == 8  # another search has files of its own


def test_workers_give_the_same(tmp_path):
    cohort, chosen = made_up_cohort(60), options(trials=0)
    alone = nested_cross_validation(cohort, {}, chosen, folder=tmp_path / "a")
    together = nested_cross_validation(cohort, {}, chosen, folder=tmp_path / "b", workers=2)
    assert [record.candidates for record in alone] == [record.candidates for record in together]


def judged(cohort, chosen, folder):
    simplest = baselines(cohort, chosen.search.objective)
    records = nested_cross_validation(cohort, simplest, chosen, folder=folder)
    folds = outer_folds(cohort, chosen)
    results = NestedResults.of(cohort, chosen.search.objective, folds, records, [TUNED, *simplest])
    return results.predictions, folds, list(simplest)


def test_a_baseline_stays_where_the_rest_is_noise(tmp_path):
    cohort = made_up_cohort(100, noise_features=15)
    predictions, folds, simplest = judged(cohort, options(trials=4), tmp_path)
    decision = decide(cohort, predictions, folds, simplest, "c_index")
    assert decision.chosen == "age"
    assert decision.gain.low <= 0
    assert decision.sentence.startswith("'age' is taken")


def test_a_real_gain_is_taken_and_its_nested_score_says_so(tmp_path):
    cohort = made_up_cohort(160, volume_effect=1.5)
    predictions, folds, simplest = judged(cohort, options(trials=12), tmp_path)
    decision = decide(cohort, predictions, folds, simplest, "c_index")
    assert decision.chosen == TUNED and decision.gain.low > 0.03
    composed, _ = decided_without(cohort, predictions, folds, simplest, "c_index")
    told = nested_scores(cohort, composed, folds, ["c_harrell"])["c_harrell"]
    assert told.low < told.value < told.high and told.value > 0.75


def test_order_is_scored_within_folds(tmp_path):
    """A constant shift of all risks of one fold changes the pooled order, and not this score."""
    cohort = made_up_cohort(80)
    predictions, folds, _ = judged(cohort, options(trials=0), tmp_path)
    before = nested_scores(cohort, predictions["age"], folds, ["c_harrell"])["c_harrell"]
    predictions["age"][0].risk[folds[0] == 1] += 100
    assert nested_scores(cohort, predictions["age"], folds, ["c_harrell"])["c_harrell"] == before


def test_a_training_says_what_it_took_and_why(tmp_path):
    cohort = made_up_cohort(80)
    trained = train_survival(cohort, TrainingOptions(options(trials=1), null_checks=1), tmp_path)
    assert trained.row == PROCEDURE
    assert list(trained.rows)[:3] == [PROCEDURE, TUNED, "age"]
    assert trained.model.notes[0] == trained.decision.sentence
    (check,) = trained.null_checks
    assert check.chosen == "age"
    assert check.score.low < 0.5 < check.score.high
    assert trained.importances[0].feature == "clinical_age"


@pytest.mark.slow
def test_a_recipe_is_taken_because_it_was_asked_for(tmp_path):
    cohort = made_up_cohort(60, noise_features=2)
    few = NestedOptions(SearchOptions("c_index", trials=0, repeats=1, folds=2), folds=2, repeats=1)
    noisy = TrainingOptions(few, recipe="anand2020")
    trained = train_survival(cohort, noisy, tmp_path)
    assert trained.row == "anand2020"
    assert "because it was asked for" in trained.decision.sentence
    assert "random forest" in trained.model.describe()


def test_without_ages_a_good_model_is_taken_whatever_is_tuned_for(tmp_path):
    """The baseline without features puts nobody in order: its rank correlation counts 0, and does not stop the comparison."""
    cohort = made_up_cohort(100, volume_effect=2.0, age_effect=0.0, censored=0.0, noise_features=1)
    names = [name for name in cohort.features.names if name != "clinical_age"]
    without = Cohort(cohort.features.select(names), cohort.days, cohort.died)
    predictions, folds, simplest = judged(without, options(trials=6, objective="spearman"), tmp_path)
    assert simplest == ["no features"]
    decision = decide(without, predictions, folds, simplest, "spearman")
    assert decision.chosen == TUNED and decision.gain.low > 0.3


def test_a_split_that_ran_out_of_time_is_made_again_without_a_limit(tmp_path):
    cohort, chosen = made_up_cohort(60), options(trials=2)
    hurried = nested_cross_validation(cohort, {}, replace(chosen, max_seconds=1e-6), folder=tmp_path)
    assert all(record.cut_short for record in hurried)
    told = []
    nested_cross_validation(
        cohort, {}, replace(chosen, max_seconds=60), folder=tmp_path, told=lambda done, total: told.append(done)
    )
    assert told == [4]
    whole = nested_cross_validation(cohort, {}, chosen, folder=tmp_path)
    assert not any(record.cut_short for record in whole)
