"""Subject-level hard mining: who is mined, that they alone are trained on, resuming, and the record."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from training_runs import CPU, At, assert_same_weights, edit_plan, run_of, stop, train

from autobrats.errors import UserError
from autobrats.files import read_json, read_model, write_json
from autobrats.plan import Part, Plan, usual_hooks
from autobrats.training import hard_mining
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

Copier = Callable[[DatasetFolder], DatasetFolder]
NEVER_SO_GOOD = 1.0


def mine(folder: DatasetFolder, thresholds: list[float], **options: Any) -> None:
    """Twelve steps, the last half of them in rounds of mining; the rate stays at its peak until then."""
    part = Part(name="hard_mining", options={"thresholds": thresholds, "share": 0.5, **options})
    edit_plan(
        folder,
        hooks=[part, *usual_hooks()],
        training={"iterations": 12, "iterations_per_epoch": 4, "average_decay": None},
        schedule=Part(name="polynomial", options={"exponent": 0}),
    )


class Seen(Hook):
    """Notes the cases and the rate of every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cases: list[list[str]] = []
        self.rates: list[float] = []
        step = Trainer.step

        def noted(trainer: Trainer, batch: Any) -> None:
            step(trainer, batch)
            self.cases.append(batch.cases)
            self.rates.append(trainer.optimiser.param_groups[0]["lr"])

        monkeypatch.setattr(Trainer, "step", noted)


def test_after_the_share_only_hard_cases_are_seen(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    hard: list[str] = []

    def dice(job: TrainingJob, network: torch.nn.Module, name: str) -> float:
        assert not network.training and name in job.training_cases
        hard[:] = job.training_cases[:2]
        return 0.3 if name == hard[0] else 0.6 if name == hard[1] else 0.9

    monkeypatch.setattr(hard_mining, "case_dice", dice)
    seen = Seen(monkeypatch)
    mine(tiny, [0.5, 0.7], rate=0.25)
    train(tiny)
    assert {case for cases in seen.cases[:6] for case in cases} > set(hard)
    assert {case for cases in seen.cases[6:9] for case in cases} == {hard[0]}
    assert {case for cases in seen.cases[9:] for case in cases} == set(hard)
    assert seen.rates[:6] == pytest.approx([0.01] * 6) and seen.rates[6:] == pytest.approx([0.0025] * 6)


def test_the_record_says_who_and_how_good_before_and_after(tiny: DatasetFolder) -> None:
    mine(tiny, [NEVER_SO_GOOD, NEVER_SO_GOOD])
    train(tiny)
    run = run_of(tiny)
    rounds = read_json(run.hard_mining_file)["rounds"]
    training = json.loads(tiny.splits_file.read_text())[0]["train"]
    assert [it["first_iteration"] for it in rounds] == [6, 9]
    for it in rounds:
        assert sorted(it["before"]) == sorted(it["after"]) == sorted(training) and it["looked_at"] == len(training)
    assert rounds[0]["after"] == rounds[1]["before"]
    assert rounds[0]["before"] != rounds[1]["before"]
    rows = list(csv.DictReader(run.hard_mining_table.read_text().splitlines()))
    assert len(rows) == 2 * len(training)
    first = rows[0]
    assert float(first["dice_before"]) == rounds[0]["before"][first["case"]]
    assert float(first["dice_after"]) == rounds[0]["after"][first["case"]]


def test_a_round_that_finds_nobody_trains_on_all(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_mining, "case_dice", lambda job, network, name: 1.0)
    seen = Seen(monkeypatch)
    mine(tiny, [0.9])
    train(tiny)
    assert len({case for cases in seen.cases[6:] for case in cases}) > 2
    assert read_json(run_of(tiny).hard_mining_file)["rounds"][0]["before"] == {}


@pytest.mark.parametrize("after", [5, 6, 8, 10])
def test_a_resumed_training_equals_an_unbroken_one(
    regions_dataset: DatasetFolder,
    copy_of: Copier,
    hook_in: Callable,
    after: int,
) -> None:
    unbroken, broken = copy_of(regions_dataset), copy_of(regions_dataset)
    for folder in (unbroken, broken):
        mine(folder, [NEVER_SO_GOOD, NEVER_SO_GOOD])
    train(unbroken)
    hook_in(At(after, stop))
    assert train(broken)[0].state == "stopped"
    hook_in(None)
    assert train(broken)[0].state == "finished"
    assert_same_weights(run_of(unbroken), run_of(broken))
    assert run_of(unbroken).hard_mining_file.read_text() == run_of(broken).hard_mining_file.read_text()


def test_a_round_after_the_last_checkpoint_begins_again(
    regions_dataset: DatasetFolder, copy_of: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, broken = copy_of(regions_dataset), copy_of(regions_dataset)
    for folder in (unbroken, broken):
        mine(folder, [NEVER_SO_GOOD])
    train(unbroken)
    step = Trainer.step

    def killed(trainer: Trainer, batch: Any) -> None:
        if trainer.iteration == 3:
            trainer.save()
        if trainer.iteration == 8:
            raise KeyboardInterrupt
        step(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    assert read_json(run_of(broken).hard_mining_file)["rounds"]
    train(broken)
    assert_same_weights(run_of(unbroken), run_of(broken))


def test_with_a_time_budget_a_sample_is_looked_at(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_mining, "TIME_SHARE", 0.0)
    mine(tiny, [NEVER_SO_GOOD])
    edit_plan(tiny, training={"max_hours": 0.01})
    train(tiny, options=CPU)
    (it,) = read_json(run_of(tiny).hard_mining_file)["rounds"]
    assert it["looked_at"] == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"thresholds": []}, r"thresholds must be Dice values above 0 and at most 1, got \[\]"),
        ({"thresholds": [1.5]}, r"got \[1\.5\]"),
        ({"share": 1.0}, r"share must be above 0 and below 1, got 1\.0"),
        ({"rate": 0}, r"rate must be above 0, got 0"),
    ],
)
def test_wrong_options_are_told(tiny: DatasetFolder, options: dict[str, Any], told: str) -> None:
    edit_plan(tiny, hooks=[Part(name="hard_mining", options=options)])
    with pytest.raises(UserError, match=told):
        train(tiny)


def test_the_plan_keeps_the_options(tiny: DatasetFolder) -> None:
    mine(tiny, [0.6, 0.8])
    plan = read_model(tiny.plan_file, Plan)
    write_json(tiny.plan_file, plan)
    assert read_model(tiny.plan_file, Plan).configurations["3d_fullres"].hooks[0].options["thresholds"] == [0.6, 0.8]
