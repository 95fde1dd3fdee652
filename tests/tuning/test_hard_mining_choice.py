"""The choice between fine-tunings, and the estimate of its worth: pure functions of scores made up by hand."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from autobrats.plan import Part
from autobrats.tuning.hard_mining_choice import HardMiningChoice, ScoredTrial, best_trial, judge, make_parts
from autobrats.tuning.hard_mining_pruning import FOLD_DICE, MedianWithoutAnyFold
from autobrats.tuning.hard_mining_result import HardMiningResult, build_result
from autobrats.tuning.hard_mining_voxels import mines_voxels, voxel_share_of, with_voxel_share

MINING = HardMiningChoice(thresholds=(0.7, 0.8), rate=0.1, share=0.3)
PLAIN = HardMiningChoice(thresholds=(), rate=0.1, share=0.3)
FOLDS = {"0": ["a0", "b0"], "1": ["a1", "b1"], "2": ["a2", "b2"]}
PATIENTS = {case: case for cases in FOLDS.values() for case in cases}


def scored(number: int, *means: float, choice: HardMiningChoice = MINING, spread: float = 0.0) -> ScoredTrial:
    """Two cases a fold, around its mean."""
    dice = {
        fold: {cases[0]: mean - spread, cases[1]: mean + spread}
        for (fold, cases), mean in zip(FOLDS.items(), means, strict=False)
    }
    return ScoredTrial(number, choice.model_copy(update={"rate": 0.1 + number}), dice)


def test_a_fold_is_judged_by_what_the_others_have_chosen() -> None:
    """Every trial is best on one fold by far, and that alone must not choose it there."""
    default = scored(0, 0.5, 0.5, 0.5)
    trials = [default, scored(1, 0.9, 0.4, 0.4), scored(2, 0.4, 0.9, 0.4), scored(3, 0.4, 0.4, 0.9)]
    for part in judge(trials, [default], make_parts(FOLDS, PATIENTS, 0), PATIENTS):
        assert part.chosen.dice[part.part.fold] == dict.fromkeys(part.part.cases, 0.4)
        assert part.differences == pytest.approx([-0.1, -0.1])


@pytest.mark.parametrize("fold", FOLDS)
def test_the_scores_of_a_fold_have_no_say_in_its_own_choice(fold: str) -> None:
    random = np.random.default_rng(0)
    trials = [scored(number, *random.random(3)) for number in range(8)]
    parts = make_parts(FOLDS, PATIENTS, 0)
    before = {it.part.fold: it.chosen.number for it in judge(trials, trials[:1], parts, PATIENTS)}
    changed = [
        ScoredTrial(it.number, it.choice, {**it.dice, fold: dict.fromkeys(FOLDS[fold], random.random())})
        for it in trials
    ]
    after = {it.part.fold: it.chosen.number for it in judge(changed, changed[:1], parts, PATIENTS)}
    assert after[fold] == before[fold]


def test_a_patient_in_two_folds_has_no_say_either() -> None:
    patients = {**PATIENTS, "a1": "same", "a0": "same"}
    good_for_a1 = ScoredTrial(1, MINING, {"0": {"a0": 0.1, "b0": 0.1}, "1": {"a1": 1.0, "b1": 0.4}})
    default = scored(0, 0.5, 0.5)
    parts = make_parts({fold: FOLDS[fold] for fold in "01"}, patients, 0)
    first = judge([default, good_for_a1], [default], parts, patients)[0]
    assert first.part.fold == "0" and first.chosen is default


def test_ties_go_to_the_default() -> None:
    trials = [scored(0, 0.1, 0.2, 0.3), scored(1, 0.3, 0.2, 0.1)]
    assert best_trial(trials, make_parts(FOLDS, PATIENTS, 0)).number == 0


def test_a_single_fold_is_divided_by_patient() -> None:
    cases = [f"{patient}{index}" for patient in "abcde" for index in range(2)]
    patients = {case: case[0] for case in cases}
    first, second = make_parts({"0": cases}, patients, seed=1)
    assert sorted(first.cases + second.cases) == sorted(cases) and len(first.cases) == 6
    assert not {patients[case] for case in first.cases} & {patients[case] for case in second.cases}
    default = ScoredTrial(0, MINING, {"0": dict.fromkeys(cases, 0.5)})
    good_there = ScoredTrial(1, PLAIN, {"0": {case: 0.9 if case in first.cases else 0.45 for case in cases}})
    judged = judge([default, good_there], [default], [first, second], patients)
    assert [it.chosen.number for it in judged] == [0, 1]
    assert judged[1].differences == pytest.approx([-0.05] * 4)


def result_of(*trials: ScoredTrial, patients: dict[str, str] = PATIENTS, start: float = 0.5) -> HardMiningResult:
    dice = {fold: dict.fromkeys(cases, start) for fold, cases in FOLDS.items()}
    return build_result("3d_fullres", 10, [], trials, make_parts(FOLDS, patients, 0), patients, dice, {})


def test_a_gain_beyond_the_interval_helps() -> None:
    result = result_of(scored(0, 0.5, 0.5, 0.5), scored(1, 0.6, 0.62, 0.61, spread=0.01))
    assert result.helps and result.chosen.rate == 1.1
    assert result.difference.n == 6 and result.difference.mean == pytest.approx(0.11)
    assert result.difference.low is not None and result.difference.low > 0.09
    assert "+0.1100 Dice over what the plan does" in result.sentence


def test_mining_that_only_harms_less_does_not_help() -> None:
    result = result_of(scored(0, 0.5, 0.5, 0.5), scored(1, 0.6, 0.62, 0.61), start=0.7)
    assert result.difference.low is not None and result.difference.low > 0
    assert result.over_start.mean == pytest.approx(-0.09) and not result.helps
    assert "only harms less" in result.sentence


@pytest.mark.parametrize("better", [(0.5, 0.5, 0.5), (0.7, 0.5, 0.4)])
def test_a_gain_within_the_interval_does_not(better: tuple[float, ...]) -> None:
    result = result_of(scored(0, 0.5, 0.5, 0.5), scored(1, *better, spread=0.2))
    assert not result.helps and result.sentence.endswith("the plan stays as it is.")


def test_of_a_plan_without_mining_the_rate_alone_is_no_gain_of_mining() -> None:
    """More of it comes with another rate, whether cases are mined or not."""
    default = scored(0, 0.5, 0.5, 0.5, choice=PLAIN)
    faster = scored(1, 0.7, 0.7, 0.7, choice=PLAIN, spread=0.01)
    mining = scored(2, 0.6, 0.6, 0.6, spread=0.01)
    assert result_of(default, mining).helps
    assert not result_of(default, faster).helps
    with_both = result_of(default, faster, mining)
    assert not with_both.helps and "nothing is better than fine-tuning without it" in with_both.sentence


def test_one_patient_alone_cannot_be_judged() -> None:
    patients = dict.fromkeys(PATIENTS, "same")
    result = result_of(scored(0, 0.5, 0.5, 0.5), scored(1, 0.9, 0.9, 0.9), patients=patients)
    assert not result.helps and result.parts == [] and "too few" in result.sentence


@pytest.mark.parametrize(
    ("own", "is_pruned"),
    [
        ({"0": 0.1}, False),  # fold 0 alone cannot end a trial that fold 0 may not choose
        ({"0": 0.1, "1": 0.1}, True),
        ({"0": 0.9, "1": 0.1}, False),  # fold 1 still may choose it, by fold 0
        ({"0": 0.1, "1": 0.9}, False),
    ],
)
def test_a_trial_is_ended_only_if_every_fold_would_end_it(own: dict[str, float], is_pruned: bool) -> None:
    study = optuna.create_study(direction="maximize")
    for mean in (0.4, 0.5, 0.6, 0.7):
        study.add_trial(create_trial(value=mean, user_attrs={FOLD_DICE: dict.fromkeys("012", mean)}))
    trial = create_trial(state=TrialState.RUNNING, user_attrs={FOLD_DICE: own})
    trial.number = 4
    assert MedianWithoutAnyFold(["0", "1", "2"]).prune(study, trial) is is_pruned


def test_losses_that_can_mine_voxels_are_known() -> None:
    assert mines_voxels(Part(name="multi_task")) and not mines_voxels(Part(name="dice_cross_entropy"))
    focal = Part(name="multi_task", options={"mining": "focal"})
    assert voxel_share_of(focal) is None and with_voxel_share(focal, 1.0, None) == focal
    hard = with_voxel_share(focal, 1.0, 0.2)
    assert hard.options == {"mining": "hard", "hard_share_start": 1.0, "hard_share_end": 0.2}
    assert voxel_share_of(hard) == 0.2 and voxel_share_of(Part(name="multi_task", options={"mining": "hard"})) == 0.1
    assert with_voxel_share(hard, 1.0, None).options["mining"] == "none"
