"""Tuning hard mining on trained folds of a tiny dataset: the study, what it leaves behind, and the changed plan."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState
from tiny_dataset import write_tiny_workspace
from training_runs import edit_plan, train

from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.evaluation.summary import Summary
from autobrats.files import read_json, read_model, write_json
from autobrats.loading.batches import Batch
from autobrats.plan import Part, Plan, usual_hooks
from autobrats.training.progress import Progress
from autobrats.training.trainer import Trainer
from autobrats.tuning import hard_mining_search, hard_mining_setup
from autobrats.tuning.hard_mining_choice import HardMiningChoice
from autobrats.tuning.hard_mining_fine_tuning import FoldTuning
from autobrats.tuning.hard_mining_result import HardMiningResult, apply_choice
from autobrats.tuning.hard_mining_search import TrialNews, tune_hard_mining
from autobrats.tuning.studies import open_study
from autobrats.workspace import DatasetFolder

NAME = "3d_fullres"
PLANNED = Part(name="hard_mining", options={"thresholds": [0.3, 0.4], "share": 0.5, "rate": 0.2})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """Two finished folds of a plan without hard mining."""
    folder = write_tiny_workspace(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "_draw", lambda self, trainer: None)
        train(folder, "0", "1")
    return folder


@pytest.fixture
def tiny(trained: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFolder:
    """A copy, with fine-tunings of three steps."""
    monkeypatch.setattr(hard_mining_setup, "LEAST_STEPS", 3)
    target = tmp_path / trained.name
    shutil.copytree(trained.path, target)
    return DatasetFolder(target)


@pytest.fixture
def one_fold(tiny: DatasetFolder) -> DatasetFolder:
    """The same with fold 0 alone."""
    shutil.rmtree(tiny.run(NAME, 1))
    return tiny


def tune(folder: DatasetFolder, trials: int, **changes: Any) -> HardMiningResult:
    options = {"trials": trials, "max_hours": None, "seed": 0, "device": torch.device("cpu"), **changes}
    return tune_hard_mining(folder, read_model(folder.dataset_file, Dataset), plan_of(folder), NAME, **options)


def plan_of(folder: DatasetFolder) -> Plan:
    return read_model(folder.plan_file, Plan)


def study_of(folder: DatasetFolder) -> optuna.Study:
    (name,) = optuna.get_all_study_names(open_study(folder.tuning / "hard_mining", "any")._storage)[:1]
    return open_study(folder.tuning / "hard_mining", name)


def content(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.fixture
def fine_tunings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, HardMiningChoice]]:
    """The folds and choices that are fine-tuned from here on."""
    seen: list[tuple[str, HardMiningChoice]] = []
    fine_tune = FoldTuning.fine_tune

    def noted(self: FoldTuning, choice: HardMiningChoice, *rest: Any) -> dict[str, float]:
        seen.append((self.fold, choice))
        return fine_tune(self, choice, *rest)

    monkeypatch.setattr(FoldTuning, "fine_tune", noted)
    return seen


def test_the_study_and_what_it_leaves_behind(tiny: DatasetFolder) -> None:
    edit_plan(tiny, hooks=[PLANNED, *usual_hooks()])
    runs, plan = content(tiny.runs), tiny.plan_file.read_text()
    news: list[TrialNews] = []
    result = tune(tiny, 3, on_trial=news.append)
    assert content(tiny.runs) == runs and tiny.plan_file.read_text() == plan
    planned = HardMiningChoice(thresholds=(0.3, 0.4), rate=0.2, share=0.5)
    assert result.default == planned and result.trials[0].number == 0 and result.trials[0].choice == planned
    assert result.trials[1].choice == planned.model_copy(update={"thresholds": ()})
    assert [it.done for it in news] == [1, 2, 3] and news[2].default_dice == pytest.approx(result.trials[0].dice)
    assert [part.name for part in result.parts] == ["fold 0", "fold 1"]
    assert result.difference.n == 4
    folder = tiny.tuning / "hard_mining" / NAME
    assert sorted(path.name for path in folder.iterdir()) == [
        "result.json",
        "starting_dice_fold_0.json",
        "starting_dice_fold_1.json",
        "trials.csv",
    ]
    assert read_model(folder / "result.json", HardMiningResult) == result
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [row["thresholds"] for row in rows][:2] == ["0.3 0.4", "none"] and float(rows[0]["dice_fold_1"]) > 0


def test_a_second_call_goes_on(tiny: DatasetFolder, fine_tunings: list[Any]) -> None:
    first = tune(tiny, 2)
    assert len(fine_tunings) == 4
    again = tune(tiny, 2)
    assert len(fine_tunings) == 4 and again == first
    more = tune(tiny, 4)
    assert len(more.trials) == 4 and more.trials[:2] == first.trials
    assert len({(fold, choice.model_dump_json()) for fold, choice in fine_tunings}) == len(fine_tunings)


def test_in_two_calls_or_in_one(one_fold: DatasetFolder, tmp_path: Path) -> None:
    other = DatasetFolder(tmp_path / "other" / one_fold.name)
    shutil.copytree(one_fold.path, other.path)
    tune(one_fold, 2)
    broken, unbroken = tune(one_fold, 3), tune(other, 3)
    assert [(it.choice, it.dice) for it in broken.trials] == [(it.choice, it.dice) for it in unbroken.trials]


def test_only_hard_cases_are_trained_on(one_fold: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first round mines one case, the second all; the rate is the share of the peak throughout."""
    edit_plan(one_fold, training={"average_decay": None})
    tune(one_fold, 1)
    starting = one_fold.tuning / "hard_mining" / NAME / "starting_dice_fold_0.json"
    known = read_json(starting)
    hardest, *others = read_json(one_fold.splits_file)[0]["train"]
    write_json(starting, {**known, "dice": {**known["dice"], hardest: 0.1, **dict.fromkeys(others, 0.6)}})
    seen: list[tuple[set[str], float]] = []
    step = Trainer.step

    def noted(trainer: Trainer, batch: Batch) -> None:
        step(trainer, batch)
        if trainer.total_iterations == 16 and trainer.job.fold == "0":
            seen.append((set(batch.cases), trainer.optimiser.param_groups[0]["lr"]))

    monkeypatch.setattr(Trainer, "step", noted)
    monkeypatch.setattr(hard_mining_setup, "LEAST_STEPS", 16)
    edit_plan(one_fold, hooks=[Part(name="hard_mining", options={"thresholds": [0.5, 0.7], "rate": 0.3})])
    tune(one_fold, 1)
    assert set.union(*(cases for cases, _ in seen[:8])) == {hardest}
    assert set.union(*(cases for cases, _ in seen[8:])) == {hardest, *others}
    assert [rate for _, rate in seen] == pytest.approx([0.3 * 0.01] * 16)


def test_a_trial_whose_loss_is_not_a_number_does_not_end_the_study(
    one_fold: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_loss = Trainer.compute_loss

    def broken(trainer: Trainer, batch: Batch) -> torch.Tensor:
        is_mining = len(trainer.training_cases) == 1
        return compute_loss(trainer, batch) * (float("nan") if is_mining else 1)

    tune(one_fold, 1)
    starting = one_fold.tuning / "hard_mining" / NAME / "starting_dice_fold_0.json"
    known = read_json(starting)
    dice = dict.fromkeys(known["dice"], 0.9) | {read_json(one_fold.splits_file)[0]["train"][0]: 0.1}
    write_json(starting, {**known, "dice": dice})
    monkeypatch.setattr(Trainer, "compute_loss", broken)
    result = tune(one_fold, 2)
    assert [it.state for it in result.trials] == ["complete", "failed"]
    assert result.trials[1].choice.thresholds == (0.7, 0.8) and result.trials[1].dice is None


def test_an_interrupted_trial_is_gone_on_with(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, fine_tunings: list[Any]
) -> None:
    fine_tune = FoldTuning.fine_tune

    def interrupted(self: FoldTuning, choice: HardMiningChoice, *rest: Any) -> dict[str, float]:
        if self.fold == "1" and choice.thresholds:
            raise KeyboardInterrupt
        return fine_tune(self, choice, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(FoldTuning, "fine_tune", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(tiny, 2)
    assert [fold for fold, _ in fine_tunings] == ["0", "1", "0"]
    result = tune(tiny, 2)
    assert [fold for fold, _ in fine_tunings] == ["0", "1", "0", "1"]
    assert [it.choice.thresholds for it in result.trials] == [(), (0.7, 0.8)]
    assert {it.state for it in result.trials} == {"complete"}


def test_without_time_the_default_is_completed(one_fold: DatasetFolder) -> None:
    result = tune(one_fold, 5, max_hours=1e-9)
    assert len(result.trials) == 1 and result.trials[0].state == "complete"
    assert result.chosen == result.default and not result.helps


def test_a_trial_for_which_there_is_no_time_is_gone_on_with(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, fine_tunings: list[Any]
) -> None:
    tune(tiny, 1)
    fine_tune, is_late = FoldTuning.fine_tune, hard_mining_search._Search._is_late

    def never_ends(self: FoldTuning, *given: Any) -> dict[str, float]:
        # The next fold would take longer than what is left.
        monkeypatch.setattr(hard_mining_search._Search, "_is_late", lambda self, needed_s=0.0: needed_s > 0)
        return fine_tune(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(FoldTuning, "fine_tune", never_ends)
        assert len(tune(tiny, 3).trials) == 1
    monkeypatch.setattr(hard_mining_search._Search, "_is_late", is_late)
    assert len(tune(tiny, 2).trials) == 2
    assert [fold for fold, _ in fine_tunings] == ["0", "1", "0", "1"]


def test_a_killed_default_is_run_again(one_fold: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FoldTuning, "fine_tune", kill)
        with pytest.raises(Killed):
            tune(one_fold, 2)
    result = tune(one_fold, 2)
    assert result.default in [it.choice for it in result.trials if it.state == "complete"]


def test_of_a_single_fold_the_halves_judge_each_other(one_fold: DatasetFolder) -> None:
    result = tune(one_fold, 2)
    assert [part.name for part in result.parts] == ["fold 0, first half", "fold 0, second half"]
    assert [part.cases for part in result.parts] == [1, 1]


def test_the_share_of_the_voxels_is_tuned_where_the_loss_has_it(one_fold: DatasetFolder) -> None:
    edit_plan(one_fold, loss=Part(name="multi_task", options={"mining": "hard", "hard_share_end": 0.3}))
    result = tune(one_fold, 3)
    assert result.default.voxel_share == 0.3
    assert any("voxel_share" in trial.params for trial in study_of(one_fold).get_trials(states=(TrialState.COMPLETE,)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: shutil.rmtree(folder.runs), "No fold of 3d_fullres is trained yet"),
        (lambda folder: edit_plan(folder, modalities=["t1c"]), "3d_fullres fold 0 was trained with another plan"),
        (lambda folder: _swap_folds(folder), "has validated other cases than splits.json holds back"),
    ],
)
def test_runs_that_do_not_belong_to_the_plan_are_refused(
    tiny: DatasetFolder, change: Callable[[DatasetFolder], None], told: str
) -> None:
    change(tiny)
    with pytest.raises(UserError, match=told):
        tune(tiny, 1)


def _swap_folds(folder: DatasetFolder) -> None:
    first, *others = read_json(folder.splits_file)
    write_json(folder.splits_file, [*others, first])


CHOSEN = HardMiningChoice(thresholds=(0.6, 0.75), rate=0.25, share=0.5, voxel_share=0.2)


def made_up(helps: bool, chosen: HardMiningChoice = CHOSEN) -> HardMiningResult:
    return HardMiningResult(
        configuration=NAME,
        steps=10,
        default=HardMiningChoice(thresholds=(), rate=0.1, share=0.3),
        chosen=chosen,
        difference=Summary(n=2, mean=0.1, low=0.05, high=0.2),
        over_start=Summary(n=2, mean=0.1, low=0.05, high=0.2),
        parts=[],
        helps=helps,
        sentence="It helps.",
        trials=[],
        importances={},
    )


def test_a_choice_that_does_not_help_leaves_the_plan(tiny: DatasetFolder) -> None:
    plan = plan_of(tiny)
    assert apply_choice(plan, NAME, made_up(helps=False)) is plan


@pytest.mark.parametrize("hooks", [usual_hooks(), [usual_hooks()[0], PLANNED]])
def test_a_choice_that_helps_is_in_the_plan(tiny: DatasetFolder, hooks: list[Part]) -> None:
    edit_plan(tiny, hooks=hooks, loss=Part(name="multi_task", options={"mining": "focal", "smooth": 2.0}))
    plan = plan_of(tiny)
    before = plan.model_copy(deep=True)
    changed = apply_choice(plan, NAME, made_up(helps=True)).configurations[NAME]
    assert plan == before
    (hook,) = [part for part in changed.hooks if part.name == "hard_mining"]
    assert hook.options == {"thresholds": [0.6, 0.75], "share": 0.5, "rate": 0.25}
    assert [part.name for part in changed.hooks if part != hook] == [it.name for it in hooks if it != PLANNED]
    assert changed.loss.options == {"mining": "hard", "hard_share_start": 1.0, "hard_share_end": 0.2, "smooth": 2.0}
    assert changed.why["hooks"] == "It helps."
    without = HardMiningChoice(thresholds=(), rate=0.1, share=0.3)
    removed = apply_choice(plan, NAME, made_up(helps=True, chosen=without)).configurations[NAME]
    assert "hard_mining" not in [part.name for part in removed.hooks]


def test_a_tuned_plan_trains(tiny: DatasetFolder) -> None:
    write_json(tiny.plan_file, apply_choice(plan_of(tiny), NAME, made_up(helps=True, chosen=CHOSEN)))
    assert train(tiny, "2")[0].state == "finished"
    assert (tiny.run(NAME, 2) / "hard_mining.json").is_file()
