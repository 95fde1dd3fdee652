"""Studies in a journal: shared, gone on with, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial

from autobrats.tuning.studies import JOURNAL, FastSearch, finished_trials, open_study

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(-1.0, 1.0, step=0.05),
    "kind": CategoricalDistribution(["a", "b"]),
}
DEFAULT = {"x": 0.0, "kind": "a"}
FIRST = [DEFAULT, {"x": 0.5, "kind": "b"}]


def search(folder: Path, name: str = "study", seed: int = 0) -> FastSearch:
    return FastSearch(folder, name, SPACE, FIRST, seed=seed)


def value_of(trial: Trial) -> float:
    return -((trial.params["x"] - 0.3) ** 2) - (trial.params["kind"] == "a")


def run(of: FastSearch, trials: int) -> list[dict]:
    """Trials until there are so many; the parameters of those that were run here."""
    done = []
    while len(of.trials) < trials:
        trial = of.ask()
        of.tell(trial, [value_of(trial)], {"objective": value_of(trial)})
        done.append(dict(trial.params))
    return done


def test_the_first_trials_are_the_ones_given(tmp_path: Path) -> None:
    one = search(tmp_path)
    assert run(one, 2) == FIRST
    assert [(trial.number, trial.params) for trial in one.trials] == [(0, FIRST[0]), (1, FIRST[1])]
    assert one.trials[1].user_attrs["objective"] == pytest.approx(-0.04)
    assert [trial.number for trial in one.study.trials] == [0, 1]


def test_the_same_seed_searches_the_same(tmp_path: Path) -> None:
    one, same, other = (run(search(tmp_path / name, seed=seed), 16) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert one == same and one != other
    assert one[:2] == other[:2] == FIRST


def test_a_search_is_gone_on_with(tmp_path: Path) -> None:
    begun = run(search(tmp_path), 8)
    again = search(tmp_path)
    assert [trial.params for trial in again.trials] == begun
    assert run(again, 8) == []
    further = run(again, 14)
    assert len(further) == 6 and DEFAULT not in further
    assert [trial.params for trial in search(tmp_path).trials] == [*begun, *further]
    assert run(search(tmp_path, seed=1), 14) == []


def test_an_interrupted_trial_leaves_no_trace(tmp_path: Path) -> None:
    one = search(tmp_path)
    run(one, 1)
    one.ask()
    assert [trial.params for trial in search(tmp_path).trials] == [DEFAULT]
    assert run(search(tmp_path), 2) == FIRST[1:]


def test_two_searches_on_one_journal_see_each_other(tmp_path: Path) -> None:
    one, other = search(tmp_path), search(tmp_path, seed=1)
    for number in range(8):
        of = (one, other)[number % 2]
        trial = of.ask()
        of.tell(trial, [value_of(trial)], {"objective": value_of(trial)})
    params = [trial.params for trial in one.trials]
    assert params == [trial.params for trial in other.trials] and len(params) == 8
    assert params[:2] == FIRST and params[2:].count(DEFAULT) == 0  # the second took the second of the first trials
    for of in (one, other):
        of.ask()  # takes in what the other has stored
        known = [trial.params for trial in of.study.trials if trial.state.is_finished()]
        assert sorted(map(str, known)) == sorted(map(str, params))


def test_one_journal_holds_many_studies(tmp_path: Path) -> None:
    run(search(tmp_path, "one"), 3)
    run(search(tmp_path, "other"), 5)
    assert len(search(tmp_path, "one").trials) == 3 and len(search(tmp_path, "other").trials) == 5
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith("lock")] == [JOURNAL]


def test_trials_that_were_not_finished_do_not_count(tmp_path: Path) -> None:
    study = open_study(tmp_path / "deep" / "folder", "study")
    study.ask()
    study.tell(study.ask(), 1.0)
    assert [trial.number for trial in finished_trials(open_study(tmp_path / "deep" / "folder", "study"))] == [1]


def test_two_objectives(tmp_path: Path) -> None:
    two = FastSearch(tmp_path, "two", SPACE, FIRST, directions=("maximize", "minimize"))
    for _ in range(14):
        trial = two.ask()
        two.tell(trial, [value_of(trial), abs(trial.params["x"])], {})
    assert len(two.trials) == 14 and len(two.study.best_trials) >= 1
