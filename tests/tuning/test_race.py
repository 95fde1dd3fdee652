"""The race of the configurations: who leaves, for how long each trains, and going on in its midst."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from tiny_dataset import write_tiny_workspace
from training_runs import At

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.plan import Part, Plan
from autobrats.training import budget as budget_module
from autobrats.training import trainer as trainer_module
from autobrats.training.checkpoints import load_facts, load_tensors
from autobrats.training.cross_validation import CrossValidation, TrainingOptions, train_folds
from autobrats.training.progress import Progress
from autobrats.training.trainer import Trainer
from autobrats.tuning.race import Race
from autobrats.tuning.race_record import RaceRecord, print_race
from autobrats.tuning.studies import open_study
from autobrats.tuning.successive_halving import SynchronousHalving, field_sizes, hours_of_a_fold
from autobrats.workspace import DatasetFolder

STEP_S = 10.0
"""Of the tests' clock: the length of a race must not depend on the machine."""
FOLD_H = 800 / 3600
CPU = TrainingOptions(device=torch.device("cpu"), loading_threads=0)
RATES = {"3d_frozen": 0.0, "3d_wild": 1e4, "3d_fullres": 1e-2, "3d_slow": 1e-7}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """Four configurations that differ in their learning rate; with one of them only there is anything to learn."""
    folder = write_tiny_workspace(tmp_path_factory.mktemp("planned"))
    plan = read_model(folder.plan_file, Plan)
    usual = plan.configurations["3d_fullres"]
    plan.configurations = {
        name: usual.model_copy(update={"optimiser": Part(name="adamw", options={"learning_rate": rate})})
        for name, rate in RATES.items()
    }
    write_json(folder.plan_file, plan)
    return folder


@pytest.fixture
def tiny(planned: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFolder:
    monkeypatch.setattr(Progress, "_draw", lambda self, trainer: None)
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(budget_module, "time", clock)
    monkeypatch.setattr(trainer_module, "time", clock)
    step = Trainer.step

    def timed(self: Trainer, batch: Any) -> None:
        step(self, batch)
        now[0] += STEP_S

    monkeypatch.setattr(Trainer, "step", timed)
    shutil.copytree(planned.path, tmp_path / "tiny")
    return DatasetFolder(tmp_path / "tiny")


def keep(folder: DatasetFolder, *names: str) -> None:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations = {name: plan.configurations[name] for name in names}
    write_json(folder.plan_file, plan)


def race(folder: DatasetFolder, hours: float | None = None, fold: str = "0", **options: Any) -> Race:
    """By default as many hours as give each fold ``FOLD_H``."""
    training = CrossValidation(folder, TrainingOptions(**{**vars(CPU), **options}))
    given = FOLD_H / hours_of_a_fold(len(training.plan.configurations), 3, 1.0) if hours is None else hours
    return Race(training, fold, given)


def record_of(folder: DatasetFolder) -> RaceRecord:
    return read_model(folder.race_file, RaceRecord)


def test_the_one_that_can_learn_wins(tiny: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    assert race(tiny).run()
    record = record_of(tiny)
    assert record.finalists == ["3d_fullres"] and record.is_over
    assert (record.fold, record.rungs, record.compared) == (0, [0.25, 0.5], [2, 2])
    entries = record.configurations
    ends = {name: (it.state, len(it.scores), it.iterations) for name, it in entries.items()}
    assert ends["3d_wild"] == ("failed", 1, []) and "the loss was not a number 3 times" in entries["3d_wild"].reason
    assert ends["3d_fullres"] == ("finalist", 2, [20, 40])  # 800 s of 10 s a step
    # Neither learns anything: which of them leaves first is chance, and only one can stay beside the winner.
    assert sorted([ends["3d_frozen"], ends["3d_slow"]]) == [("left", 1, [20]), ("left", 2, [20, 40])]
    first = min(("3d_frozen", "3d_slow"), key=lambda name: len(entries[name].scores))
    assert entries[first].reason.startswith("left at rung 1 (25%): mean Dice 0.02")

    # Every score is the mean of what the cases have in all regions, and the study knows it too.
    for it in entries.values():
        for score, dice in zip(it.scores, it.dice, strict=False):
            assert score == pytest.approx(sum(dice.values()) / 2) and set(dice) == set(record.cases)
    study = open_study(tiny.tuning / "race", record.study)
    trials = {trial.params["configuration"]: trial for trial in study.trials}
    assert list(trials) == list(RATES)
    expected = {"racing": "RUNNING", "left": "PRUNED", "failed": "FAIL", "finalist": "COMPLETE"}
    assert {name: trial.state.name for name, trial in trials.items()} == {
        name: expected[it.state] for name, it in entries.items()
    }
    assert trials["3d_fullres"].intermediate_values == dict(zip((25, 50), entries["3d_fullres"].scores, strict=True))

    capsys.readouterr()
    print_race(record)
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "Race on fold 0: mean Dice of its 2 held-back cases"
    assert table[1].split() == ["configuration", "Dice", "at", "25%", "Dice", "at", "50%", "minutes", "result"]
    assert [line.split()[0] for line in table[3:]] == list(RATES) and table[5].endswith("finalist")

    # What one that left has trained is not lost, and the finalist goes on to the end.
    for name in (first, "3d_fullres"):
        before = load_facts(tiny.run(name, 0) / "checkpoint.safetensors")["iteration"]
        (result,) = train_folds(tiny, name, ["0"], TrainingOptions(**{**vars(CPU), "max_hours": record.fold_hours}))
        after = load_facts(tiny.run(name, 0) / "weights.safetensors")["iterations"]
        assert result.state == "finished" and after > before == entries[name].iterations[-1]
    assert race(tiny).run()  # over: nothing happens
    assert record_of(tiny) == record


def test_an_interrupted_race_goes_on_and_ends_as_an_unbroken_one(
    tiny: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tiny, "3d_frozen", "3d_fullres", "3d_slow")
    broken = DatasetFolder(tmp_path / "broken")
    shutil.copytree(tiny.path, broken.path)
    assert race(tiny).run()

    build = Trainer.build_hooks
    for iteration in (5, 33):  # on the way to the first rung of the first, and to the second rung of another

        def stop(trainer: Trainer) -> None:
            trainer.stop_reason = "a test"

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "build_hooks", lambda self, at=iteration: [At(at, stop), *build(self)])
            assert not race(broken).run()
    hours = record_of(broken).fold_hours
    assert race(broken, hours=99.0).run()  # the hours of its folds stay what they were
    assert record_of(broken).fold_hours == hours

    def compared(folder: DatasetFolder) -> dict[str, Any]:
        record = record_of(folder).model_dump(exclude={"study"})
        for it in record["configurations"].values():
            it.pop("seconds")
        return record

    assert compared(broken) == compared(tiny)
    one, other = (load_tensors(it.run("3d_fullres", 0) / "checkpoint.safetensors")[0] for it in (tiny, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_of_two_alike_the_first_in_the_plan_stays(tiny: DatasetFolder) -> None:
    plan = read_model(tiny.plan_file, Plan)
    frozen = plan.configurations["3d_frozen"]
    plan.configurations = {"3d_b": frozen, "3d_a": frozen}
    write_json(tiny.plan_file, plan)
    assert race(tiny).run()
    record = record_of(tiny)
    assert record.finalists == ["3d_b"] and record.rungs == [0.25]
    assert record.configurations["3d_a"].reason.endswith("no better than 3d_b, which is before it in the plan")


def test_if_all_fail_nobody_wins(tiny: DatasetFolder) -> None:
    keep(tiny, "3d_wild", "3d_fullres")
    plan = read_model(tiny.plan_file, Plan)
    plan.configurations["3d_fullres"].loss = Part(name="dice_cross_entropy", options={"smoth": 1})
    write_json(tiny.plan_file, plan)
    assert race(tiny).run()
    record = record_of(tiny)
    assert record.finalists == [] and record.is_over
    assert "no option 'smoth'" in record.configurations["3d_fullres"].reason


def test_what_a_race_cannot_begin_or_go_on_with(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tiny, "3d_fullres", "3d_slow")
    with pytest.raises(UserError, match="no fold 'all' to race on; this dataset has: 0, 1, 2"):
        race(tiny, fold="all")
    train_folds(tiny, "3d_slow", ["1"], TrainingOptions(**{**vars(CPU), "epochs": 1}))
    with pytest.raises(UserError, match=r"3d_slow fold 1 was trained before the race.*--race-fold"):
        race(tiny, fold="1")
    assert not tiny.race_file.exists()
    write_json(tiny.race_file, race(tiny, seed=4).record)
    with pytest.raises(UserError, match="begun on fold 0; go on with --race-fold 0"):
        race(tiny, fold="1", seed=4)
    with pytest.raises(UserError, match="begun with --seed 4"):
        race(tiny)
    keep(tiny, "3d_fullres")
    with pytest.raises(UserError, match=r"begun with other configurations \(3d_fullres, 3d_slow\)"):
        race(tiny, seed=4)
    keep(tiny, "3d_fullres")
    assert race(tiny, restart=True).record.seed == 0


# Arithmetic.


def test_the_hours_of_a_fold_add_up() -> None:
    assert [field_sizes(n) for n in (1, 2, 3, 4, 5, 9)] == [[], [2], [3, 2], [4, 2], [5, 3], [9, 5]]
    # By hand: two leave at a quarter and one at a half; the winner trains five folds; a tenth is for scoring.
    spent = 2 * 0.25 + 1 * 0.5 + 5 + 0.1 * (4 * 0.25 + 2 * 0.5)
    assert hours_of_a_fold(4, 5, 62.0) == pytest.approx(62.0 / spent)
    # Of nine, four leave at a quarter, two at a half, three win.
    spent = 4 * 0.25 + 2 * 0.5 + 3 * 5 + 0.1 * (9 * 0.25 + 5 * 0.5)
    assert hours_of_a_fold(9, 5, 10.0) == pytest.approx(10.0 / spent)
    # Of two, one leaves at a quarter, and the race is over.
    assert hours_of_a_fold(2, 5, 10.0) == pytest.approx(10.0 / (0.25 + 5 + 0.1 * 2 * 0.25))
    assert hours_of_a_fold(1, 5, 10.0) == pytest.approx(2.0)
    # The race is on one device; its winner's five folds take three rounds on two.
    race_share = 4 * 0.25 + 2 * 0.25 + 0.1 * (4 * 0.25 + 2 * 0.5)
    assert hours_of_a_fold(4, 5, 10.0, at_once=2) == pytest.approx(10.0 / (race_share + 3))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_pruner_waits_for_all_and_keeps_the_better_half(direction: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction, pruner=SynchronousHalving())
    sign = 1 if direction == "maximize" else -1
    trials = [study.ask() for _ in range(5)]
    assert not any(trial.should_prune() for trial in trials)  # nothing reported yet
    values = [0.5, math.nan, 0.7, 0.5, 0.1]
    for trial, value in zip(trials[:4], values, strict=False):
        trial.report(sign * value, 25)
    assert [trial.should_prune() for trial in trials] == [False, True, False, False, False]  # NaN is lost at once
    trials[4].report(sign * values[4], 25)
    # Three of five stay; of the two at 0.5 both do.
    assert [trial.should_prune() for trial in trials] == [False, True, False, False, True]
    for number in (1, 4):
        study.tell(number, state=optuna.trial.TrialState.PRUNED)
    assert [trials[number].should_prune() for number in (0, 2, 3)] == [False, False, False]  # and it stays so
    for number, value in ((0, 0.6), (2, 0.6), (3, 0.6)):
        assert not trials[number].should_prune()
        trials[number].report(sign * value, 50)
    assert [trials[number].should_prune() for number in (0, 2, 3)] == [False, False, True]  # ties go to the first
