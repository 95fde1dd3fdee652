"""What came out of tuning hard mining: files, a sentence for people, and the changed plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict

from autobrats.evaluation.summary import Summary, summarise
from autobrats.files import write_csv, write_json
from autobrats.plan import Configuration, Part, Plan
from autobrats.tuning.hard_mining_choice import (
    HardMiningChoice,
    HeldBackPart,
    JudgedPart,
    ScoredTrial,
    best_trial,
    judge,
)
from autobrats.tuning.hard_mining_space import HOOK
from autobrats.tuning.hard_mining_voxels import mines_voxels, with_voxel_share


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrialRow(Frozen):
    """A trial, for tables.

    Attributes:
        number: in the study.
        state: ``complete``, ``pruned`` or ``failed``.
        choice: what was tried.
        dice: mean over the folds of the mean over their scored cases; None unless complete.
        fold_dice: the same by fold, of those that were run.
        seconds: of fine-tuning and scoring.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    choice: HardMiningChoice
    dice: float | None
    fold_dice: dict[str, float]
    seconds: float


class PartRow(Frozen):
    """Held-back cases, scored with what the other parts have chosen.

    Attributes:
        name: ``fold 0``; ``fold 0, first half`` where there is a single fold.
        cases: how many.
        starting_dice: before any fine-tuning.
        reference_dice: of the reference; see :class:`HardMiningResult`.
        chosen_dice: with what the other parts have chosen.
        chosen: what they have chosen.
    """

    name: str
    cases: int
    starting_dice: float
    reference_dice: float
    chosen_dice: float
    chosen: HardMiningChoice


class HardMiningResult(Frozen):
    """result.json.

    Attributes:
        configuration: whose hard mining was tuned.
        steps: of the optimiser, of each fine-tuning.
        default: what the plan does untuned; trial 0.
        chosen: the best trial on all folds; the default where nothing is better.
        difference: of the mean Dice of a case, of what the other parts have chosen over the reference; nested: no patient
            had a say in the choice that was scored on it. The reference is the default; for a plan that does not mine, the
            best fine-tuning without mining, so that the gain is that of the mining and not that of more steps at another
            rate.
        over_start: the same over the trained network before any fine-tuning: mining that merely harms less than other
            fine-tuning is of no use.
        parts: the same by fold.
        helps: whether the interval of the difference lies above 0, its mean over the start too, and there is something to
            change.
        sentence: for people.
        trials: all of them, in order.
        importances: of the parameters for the Dice, adding up to 1; empty if there are too few trials.
    """

    configuration: str
    steps: int
    default: HardMiningChoice
    chosen: HardMiningChoice
    difference: Summary
    over_start: Summary
    parts: list[PartRow]
    helps: bool
    sentence: str
    trials: list[TrialRow]
    importances: dict[str, float]


def build_result(
    configuration: str,
    steps: int,
    rows: Sequence[TrialRow],
    scored: Sequence[ScoredTrial],
    parts: Sequence[HeldBackPart],
    patients: Mapping[str, str],
    starting_dice: Mapping[str, Mapping[str, float]],
    importances: Mapping[str, float],
) -> HardMiningResult:
    """Choose, judge the choice, and say it.

    Args:
        configuration, steps, importances: as in the result.
        rows: of all trials.
        scored: the complete ones, the default first.
        parts: that judge each other's choice.
        patients: patient by case.
        starting_dice: before any fine-tuning, by fold and case.
    """
    default = scored[0]
    references = _references(scored)
    chosen = best_trial(scored, parts)
    judged = judge(scored, references, parts, patients)
    owners = [patients[case] for it in judged for case in it.part.cases]
    difference = summarise([value for it in judged for value in it.differences], owners)
    start = [starting_dice[it.part.fold][case] for it in judged for case in it.part.cases]
    chosen_dice = [value for it in judged for value in it.chosen_dice]
    over_start = summarise([new - old for new, old in zip(chosen_dice, start, strict=True)], owners)
    is_new = all(chosen.number != reference.number for reference in references)
    is_above_start = over_start.mean is not None and over_start.mean > 0
    helps = is_new and is_above_start and difference.low is not None and difference.low > 0
    return HardMiningResult(
        configuration=configuration,
        steps=steps,
        default=default.choice,
        chosen=chosen.choice,
        difference=difference,
        over_start=over_start,
        parts=[_part_row(it, starting_dice) for it in judged],
        helps=helps,
        sentence=_sentence(configuration, len(rows), default.choice, chosen.choice, difference, over_start, is_new),
        trials=list(rows),
        importances=dict(importances),
    )


def write_result(folder: Path, result: HardMiningResult) -> None:
    """result.json, and trials.csv with a row a trial."""
    folds = sorted({fold for row in result.trials for fold in row.fold_dice})
    heading = ["trial", "state", "thresholds", "rate", "voxel_share", "dice", *(f"dice_fold_{fold}" for fold in folds)]
    rows = (
        [
            row.number,
            row.state,
            " ".join(f"{threshold:g}" for threshold in row.choice.thresholds) or "none",
            row.choice.rate,
            "" if row.choice.voxel_share is None else row.choice.voxel_share,
            "" if row.dice is None else row.dice,
            *(row.fold_dice.get(fold, "") for fold in folds),
            row.seconds,
        ]
        for row in result.trials
    )
    write_csv(folder / "trials.csv", [*heading, "seconds"], rows)
    write_json(folder / "result.json", result)


def apply_choice(plan: Plan, configuration: str, result: HardMiningResult) -> Plan:
    """The plan with the tuned hard mining in a configuration; the plan as it is if tuning does not help.

    The hook ``hard_mining`` gets the thresholds and the rate, is added if it is not there, and goes if mining no cases is
    best. The share of the voxels becomes that at the end of the training, where fine-tuning stands for it.
    """
    if not result.helps:
        return plan
    before, chosen = plan.configurations[configuration], result.chosen
    why = {**before.why, "hooks": result.sentence}
    changes: dict[str, object] = {"hooks": _hooks(before, chosen)}
    if mines_voxels(before.loss) and chosen.voxel_share != result.default.voxel_share:
        start = max(before.loss.options.get("hard_share_start", 1.0), chosen.voxel_share or 0.0)
        changes["loss"] = with_voxel_share(before.loss, start, chosen.voxel_share)
        why["loss"] = f"{before.why.get('loss', '')} The share of mined voxels is tuned with hard mining.".strip()
    after = before.model_copy(update={**changes, "why": why})
    return plan.model_copy(update={"configurations": {**plan.configurations, configuration: after}})


def _hooks(configuration: Configuration, chosen: HardMiningChoice) -> list[Part]:
    others = [part for part in configuration.hooks if part.name != HOOK]
    if not chosen.thresholds:
        return others
    options = {"thresholds": list(chosen.thresholds), "share": chosen.share, "rate": chosen.rate}
    tuned = Part(name=HOOK, options=options)
    if len(others) == len(configuration.hooks):
        return [tuned, *others]
    return [tuned if part.name == HOOK else part for part in configuration.hooks]


def _references(scored: Sequence[ScoredTrial]) -> list[ScoredTrial]:
    """What the choice is compared with; the first trial is the default."""
    default = scored[0].choice
    if default.thresholds:
        return [scored[0]]
    return [it for it in scored if not it.choice.thresholds and it.choice.voxel_share == default.voxel_share]


def _part_row(judged: JudgedPart, starting_dice: Mapping[str, Mapping[str, float]]) -> PartRow:
    part = judged.part
    return PartRow(
        name=part.name,
        cases=len(part.cases),
        starting_dice=round(fmean(starting_dice[part.fold][case] for case in part.cases), 5),
        reference_dice=round(fmean(judged.reference_dice), 5),
        chosen_dice=round(fmean(judged.chosen_dice), 5),
        chosen=judged.chosen.choice,
    )


def _sentence(
    configuration: str,
    trials: int,
    default: HardMiningChoice,
    chosen: HardMiningChoice,
    difference: Summary,
    over_start: Summary,
    is_new: bool,
) -> str:
    begin = f"Hard mining of {configuration}, tuned in {trials} trial{'s' * (trials != 1)}:"
    stays = "the plan stays as it is."
    if difference.low is None or over_start.mean is None:
        return f"{begin} there are too few held-back patients to judge a choice by others; {stays}"
    against = "what the plan does" if default.thresholds else "fine-tuning without it"
    if not is_new:
        return f"{begin} nothing is better than {against}; {stays}"
    measured = (
        f"{difference.mean:+.4f} Dice over {against} (95 % interval {difference.low:+.4f} to {difference.high:+.4f}) and "
        f"{over_start.mean:+.4f} over the network as it was trained, by {difference.n} cases of patients that the choice "
        "did not see"
    )
    if difference.low <= 0:
        return f"{begin} no gain beyond the interval, {measured}; {stays}"
    if over_start.mean <= 0:
        return f"{begin} it only harms less than other fine-tuning, {measured}; {stays}"
    return f"{begin} {chosen.describe()}; {measured}."
