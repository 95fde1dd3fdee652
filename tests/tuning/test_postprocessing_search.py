"""One search: the default first, seeded, gone on with, and judged only on what it did not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuning.made_up_source import MadeUpSource, noisy, sharp, with_specks

from autobrats.tuning.objective import new_objective
from autobrats.tuning.postprocessing_search import SearchJob, SearchOutcome, run_search
from autobrats.tuning.search_space import SearchSpace
from autobrats.tuning.tuning_case import TuningCase


def job(folder: Path, source: MadeUpSource, judged: int = 2, **options) -> SearchJob:
    names = list(source.cases)
    values: dict[str, Any] = {"trials": 6, **options}
    return SearchJob(folder, "study", source, tuple(names[judged:]), tuple(names[:judged]), **values)


def facts(outcome: SearchOutcome) -> list[tuple]:
    return [(trial.number, trial.params, trial.objective, trial.dice, trial.hd95) for trial in outcome.trials]


def test_trial_0_is_the_default_with_its_own_scores(tmp_path: Path) -> None:
    source = noisy(5)
    outcome = run_search(job(tmp_path, source))
    first = outcome.trials[0]
    assert (first.number, first.params, len(outcome.trials)) == (0, {}, 6)
    assert first.objective == pytest.approx(0.5)
    space = SearchSpace(source.convention)
    default = space.choice(space.default)
    scores = np.array(
        [
            TuningCase(case.variants, case.reference, source.convention, case.spacing_mm).scores(default)
            for name, case in list(source.cases.items())[2:]
        ]
    )
    assert (first.dice, first.hd95) == pytest.approx((scores[..., 0].mean(), scores[..., 1].mean()))


def test_the_default_wins_ties(tmp_path: Path) -> None:
    """On sure predictions without faults most trials are as good as the default, and none is better."""
    outcome = run_search(job(tmp_path, sharp(5), trials=10))
    assert max(trial.objective for trial in outcome.trials) == outcome.trials[0].objective
    assert sum(trial.objective == outcome.trials[0].objective for trial in outcome.trials) > 1
    assert outcome.params == outcome.default_params
    for scores in outcome.judged.values():
        assert np.array_equal(scores.default, scores.chosen) and scores.default_value == scores.chosen_value


def test_specks_are_found_and_the_judged_cases_gain(tmp_path: Path) -> None:
    source = with_specks(noisy(6))
    outcome = run_search(job(tmp_path, source, trials=8))
    assert outcome.params != outcome.default_params
    space = SearchSpace(source.convention)
    default = np.stack([_case(source, name).scores(space.choice(space.default)) for name in list(source.cases)[2:]])
    objective = new_objective("ranks", default)
    assert list(outcome.judged) == list(source.cases)[:2]
    for name, judged in outcome.judged.items():
        assert np.array_equal(judged.chosen, _case(source, name).scores(outcome.choice))
        assert judged.chosen_value == pytest.approx(float(objective(judged.chosen[None])[0]))
        assert judged.chosen[:, 1].mean() < judged.default[:, 1].mean()


def _case(source: MadeUpSource, name: str) -> TuningCase:
    case = source.cases[name]
    return TuningCase(case.variants, case.reference, source.convention, case.spacing_mm)


def test_judged_cases_are_not_read_before_the_choice(tmp_path: Path) -> None:
    source = noisy(6)
    run_search(job(tmp_path, source))
    names = list(source.cases)
    assert source.loaded == [*names[2:], *names[:2]]


def test_the_same_seed_gives_the_same_trials(tmp_path: Path) -> None:
    source = with_specks(noisy(4))
    trials = len(SearchSpace(source.convention).first) + 2
    one, same, other = (
        run_search(job(tmp_path / name, source, trials=trials, seed=seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert facts(one) == facts(same) and facts(one) != facts(other)


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source = with_specks(noisy(4))
    begun = run_search(job(tmp_path, source, trials=4))
    further = run_search(job(tmp_path, source, trials=7))
    assert facts(further)[:4] == facts(begun) and len(further.trials) == 7
    assert len({str(trial.params) for trial in further.trials}) == 7
    again = run_search(job(tmp_path, source, trials=7))
    assert facts(again) == facts(further) and again.params == further.params


def test_however_short_the_time_the_default_is_tried(tmp_path: Path) -> None:
    outcome = run_search(job(tmp_path, noisy(4), seconds=0.0))
    assert len(outcome.trials) == 1 and outcome.params == outcome.default_params


def test_the_pareto_front_is_not_dominated(tmp_path: Path) -> None:
    outcome = run_search(job(tmp_path, with_specks(noisy(5, shift_mm=-2.0)), trials=17, pareto=True))
    front = [trial for trial in outcome.trials if trial.on_front]
    assert front
    for trial in front:
        assert not any(
            other.dice >= trial.dice
            and other.hd95 <= trial.hd95
            and (other.dice, other.hd95) != (trial.dice, trial.hd95)
            for other in outcome.trials
        )
    behind = [trial for trial in outcome.trials if not trial.on_front]
    for trial in behind:
        assert any(other.dice >= trial.dice and other.hd95 <= trial.hd95 for other in front)
    assert outcome.params != outcome.default_params  # the objective chooses, as with one


def test_importances_are_shares_and_only_for_the_choice_that_is_applied(tmp_path: Path) -> None:
    source = with_specks(noisy(4))
    outcome = run_search(job(tmp_path, source, judged=0, trials=20))
    assert sum(outcome.importances.values()) == pytest.approx(1, abs=0.01)
    assert set(outcome.importances) <= set(outcome.params)
    assert not run_search(job(tmp_path, source, judged=1, trials=20)).importances
