"""Tuning with a nested estimate: a real gain is applied, chance is not, and no patient vouches for itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tuning.made_up_source import BRATS, MadeUpSource, noisy, of_patients, sharp, shuffled, with_specks, without_grades

from autobrats.errors import UserError
from autobrats.evaluation.patient_groups import patient_groups
from autobrats.files import read_json
from autobrats.tuning.postprocessing_tuning import PostprocessingResult, TuningOptions, tune_postprocessing
from autobrats.tuning.search_space import SearchSpace
from autobrats.tuning.studies import JOURNAL
from autobrats.tuning.tables import shown_params, write_tuning_files
from autobrats.tuning.tuning_case import default_choice


def tune(source: MadeUpSource, folder: Path, trials: int = 8, **values) -> PostprocessingResult:
    groups = values.pop("groups", None)
    return tune_postprocessing(source, folder, TuningOptions(trials=trials, workers=0, **values), groups=groups)


@pytest.fixture(scope="module")
def specks() -> MadeUpSource:
    return with_specks(noisy(10))


@pytest.fixture(scope="module")
def tuned(specks: MadeUpSource, tmp_path_factory: pytest.TempPathFactory) -> PostprocessingResult:
    return tune(specks, tmp_path_factory.mktemp("tuned"))


def test_a_real_gain_is_found_clear_and_applied(tuned: PostprocessingResult) -> None:
    assert tuned.applied and tuned.gain.is_clear and tuned.choice == tuned.search.choice
    assert any(rule.min_component_mm3 > 0 or rule.keep_largest for rule in tuned.search.choice.rules)
    gain = tuned.gain
    assert gain.dice[0] > 0.01 and gain.dice[1] is not None and gain.dice[1] > 0
    assert gain.hd95[0] < -1
    for region in ("TC", "ET"):
        assert gain.chosen_dice[region] > gain.default_dice[region]
        assert gain.chosen_hd95[region] < gain.default_hd95[region]
    assert tuned.sentence.startswith("Tuned postprocessing is applied: on patients that it did not see")
    assert default_choice(BRATS) not in tuned.expected_choice.values()


def test_the_files_tell_all_trials_and_the_gain(tuned: PostprocessingResult, tmp_path: Path) -> None:
    space = SearchSpace(BRATS)
    write_tuning_files(tmp_path, tuned, space.parts(tuned.search.choice))
    rows = (tmp_path / "trials.csv").read_text().splitlines()
    assert (
        len(rows) == 1 + 8 and rows[0].startswith("trial,objective,mean_dice,mean_hd95_mm") and rows[1].startswith("0,")
    )
    result = read_json(tmp_path / "result.json")
    assert result["applied"] and result["trials"] == 8 and result["sentence"] == tuned.sentence
    assert result["nested_gain"]["dice"]["mean"] == tuned.gain.dice[0]
    assert result["postprocessing"][0]["name"] == "region_rules"
    assert shown_params(result["chosen"]) != "default"


@pytest.mark.parametrize("seed", range(3))
def test_there_is_nothing_to_gain_on_predictions_as_good_as_can_be(seed, tmp_path: Path) -> None:
    result = tune(sharp(10, seed), tmp_path, trials=12)
    assert not result.applied and result.choice is None
    assert result.gain.objective == (0.0, 0.0, 0.0)
    assert result.sentence == "No postprocessing was better than none in 12 trials; none is applied."
    assert set(result.expected_choice.values()) == {default_choice(BRATS)}


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_shuffled_predictions_promise_no_gain(seed, graded, tmp_path: Path) -> None:
    """What another patient's prediction needs is chance; a choice by chance does not hold on patients it has not seen."""
    source = shuffled(sharp(10, seed))
    result = tune(source if graded else without_grades(source), tmp_path, trials=12)
    assert not result.applied and not result.gain.is_clear


def test_what_scatters_by_chance_is_seldom_called_a_gain(tmp_path: Path) -> None:
    """The search over all cases looks like a gain; the nested estimate does not believe it."""
    results = [tune(noisy(8, seed), tmp_path / str(seed), trials=11) for seed in range(3)]
    apparent = [max(trial.objective for trial in result.search.trials) - 0.5 for result in results]
    nested = [result.gain.objective[0] for result in results]
    assert np.mean(nested) < np.mean(apparent)
    assert sum(result.applied for result in results) <= 1


def test_a_choice_that_is_not_applied_is_not_expected_either(tmp_path: Path) -> None:
    result = tune(noisy(10, 1), tmp_path, trials=12)
    if result.search.params != result.search.default_params:
        assert "cannot tell from chance" in result.sentence and "Tuned postprocessing is not applied" in result.sentence
    assert not result.applied
    assert set(result.expected_choice.values()) == {default_choice(BRATS)}


def test_a_group_is_judged_by_choices_that_never_read_it(specks: MadeUpSource, tmp_path: Path) -> None:
    """Every group has a source of its own here, which says in which order its cases were read."""
    source = of_patients(specks, {"case_01": "patient_00"})
    groups = patient_groups(source.patients)
    assert groups["case_00"] == groups["case_01"]
    by_group = {number: replace(source, cases=dict(source.cases), loaded=[]) for number in set(groups.values())}
    # What differs between the sources keeps their cases from being shared in memory.
    for number, of in by_group.items():
        name = next(name for name in of.cases if groups[name] != number)
        reference = of.cases[name].reference.copy()
        reference[0, 0, number] = 2
        of.cases[name] = replace(of.cases[name], reference=reference)
    tune_postprocessing(source, tmp_path, TuningOptions(trials=3, workers=0), groups=groups, sources_by_group=by_group)
    for number, of in by_group.items():
        own = {name for name, group in groups.items() if group == number}
        assert sorted(of.loaded) == sorted(of.cases)
        assert set(of.loaded[-len(own) :]) == own  # only after the last of the others, when the choice is made


def test_one_group_with_a_need_of_its_own_does_not_vouch_for_itself(tmp_path: Path) -> None:
    """Only the patients of one group have specks: their own gain comes from a choice that saw no speck."""
    plain = sharp(10)
    groups = {name: place // 2 for place, name in enumerate(plain.cases)}
    speckled = with_specks(plain)
    cases = {name: (speckled if groups[name] == 0 else plain).cases[name] for name in plain.cases}
    result = tune(replace(plain, cases=cases, loaded=[]), tmp_path, groups=groups)
    assert result.search.params != result.search.default_params  # on all cases together it pays
    assert not result.applied and result.gain.objective[0] == pytest.approx(0, abs=1e-9)


def test_studies_are_gone_on_with_only_for_the_same_cases_and_groups(specks: MadeUpSource, tmp_path: Path) -> None:
    """Trials that have seen a patient must not be taken up by a search that is judged on it."""
    names = list(specks.cases)
    groups = {name: place % 5 for place, name in enumerate(names)}
    first = tune(specks, tmp_path, trials=3, groups=groups)
    again = tune(specks, tmp_path, trials=3, groups=groups)
    assert first.gain == again.gain and _trials(tmp_path) == 6 * 3
    tune(specks, tmp_path, trials=5, groups=groups)
    assert _trials(tmp_path) == 6 * 5
    other_groups = {name: place // 2 for place, name in enumerate(names)}
    tune(specks, tmp_path, trials=3, groups=other_groups)
    assert _trials(tmp_path) == 6 * 5 + 5 * 3  # the search over all cases has trials enough
    tune(specks, tmp_path, trials=3, groups=groups, objective="dice")
    assert _trials(tmp_path) == 6 * 5 + 5 * 3 + 6 * 3


def test_the_same_seed_finds_the_same(specks: MadeUpSource, tmp_path: Path) -> None:
    one, same = (tune(specks, tmp_path / name, trials=4, seed=5) for name in ("a", "b"))
    assert one.gain == same.gain and one.search.params == same.search.params


def test_two_processes_find_the_same_as_none(specks: MadeUpSource, tmp_path: Path) -> None:
    alone = tune(noisy(8), tmp_path / "alone", trials=2)
    workers = tune_postprocessing(noisy(8), tmp_path / "two", TuningOptions(trials=2, workers=2))
    assert alone.gain == workers.gain


def test_progress_is_told(specks: MadeUpSource, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tune_postprocessing(
        specks, tmp_path, TuningOptions(trials=1, workers=0), on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 6) for done in range(7)]


def test_fewer_than_eight_patients_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be tuned on 7 patients: at least 8 are needed"):
        tune(noisy(7), tmp_path)
    of_few = of_patients(noisy(10), {f"case_{number:02d}": "patient_00" for number in range(4)})
    with pytest.raises(UserError, match="on 7 patients"):
        tune(of_few, tmp_path)


def test_pareto_finds_a_front(specks: MadeUpSource, tmp_path: Path) -> None:
    result = tune(specks, tmp_path, pareto=True)
    assert result.pareto and result.applied
    front = [trial for trial in result.search.trials if trial.on_front]
    assert front and all(trial.dice >= result.search.trials[0].dice for trial in front)


def _trials(folder: Path) -> int:
    """Finished trials of all studies of the journal."""
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return sum(len(storage.get_all_trials(study._study_id)) for study in storage.get_all_studies())
