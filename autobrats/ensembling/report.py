"""The report of a model: everything that the page shows, taken from the choice and the workspace."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path

from autobrats import __version__
from autobrats.dataset.cases import Dataset
from autobrats.ensembling.expected_scores import chosen_labels
from autobrats.ensembling.model_search import ModelChoice
from autobrats.ensembling.report_data import confusion_and_panels, training_histories
from autobrats.evaluation.metrics_file import Metrics
from autobrats.files import read_model
from autobrats.plan import Plan
from autobrats.planning.explain import explain
from autobrats.planning.fingerprint_file import FingerprintFile
from autobrats.reporting.page.data import Cost, CurvePoint, Member, RaceRow, ReportData, TrialPoint, TuningStory
from autobrats.reporting.page.page import write_report
from autobrats.reporting.page.survival_data import STORY_FILE, SurvivalStory, read_story
from autobrats.tuning.postprocessing_search import TrialRecord
from autobrats.tuning.postprocessing_tuning import PostprocessingResult
from autobrats.tuning.race_record import RaceRecord
from autobrats.workspace import DatasetFolder

ENSEMBLES_SHOWN = 12
ENSEMBLE = "the ensemble, untuned"
NESTED = (
    "Every patient is judged by networks that were not trained on it, and by a choice of networks and postprocessing that "
    "was made without it."
)
OUT_OF_FOLD = "Every patient is judged by networks that were not trained on it; nothing was chosen by their scores."
NOT_NESTED = (
    "Every patient is judged by networks that were not trained on it; but the configuration was chosen by the same scores, "
    "because the configurations have no patient in common, so that they are a little too high."
)
_OBJECTIVES = {
    "ranks": "rank of Dice and HD95 (default 0.5)",
    "dice": "mean Dice over regions",
    "hd95": "negative mean HD95 over regions, mm",
}


def write_model_report(folder: DatasetFolder, dataset: Dataset, plan: Plan, choice: ModelChoice) -> Path:
    """Write the page; where it is.

    Raises:
        UserError: if an image or a file of the workspace cannot be read.
    """
    expected = choice.expected
    assert expected is not None
    fingerprint = read_model(folder.fingerprint_file, FingerprintFile) if folder.fingerprint_file.is_file() else None
    confusion, panels = confusion_and_panels(
        dataset, plan, expected, lambda name: chosen_labels(name, choice.predictions[name])
    )
    data = ReportData(
        title=f"{dataset.name}: {choice.mixture.label}",
        created=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        dataset=dataset,
        plan=plan,
        plan_told=explain(plan),
        fingerprint=None if fingerprint is None else fingerprint.dataset,
        chosen=[*_sentences(choice), *choice.notes],
        expected=expected,
        expected_note=_note(choice),
        cost=None
        if choice.cost is None
        else Cost(choice.cost.seconds_per_case, choice.cost.memory_gib, len(choice.networks)),
        compared=_compared(choice),
        chosen_names=[*([ENSEMBLE] if len(choice.mixture.weights) > 1 else []), *choice.mixture.configurations],
        tuning=None if choice.tuning is None else _story(choice.tuning),
        curve=_curve(choice),
        members=_members(choice),
        cases=panels,
        confusion=confusion,
        survival=survival_story(folder),
        histories=training_histories(folder),
        race=_race(folder),
        facts={
            "autobrats": __version__,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "seed of the plan": str(plan.seed),
            "machine": "not recorded" if fingerprint is None else _machine(fingerprint),
        },
    )
    write_report(folder.report_file, data)
    return folder.report_file


def _note(choice: ModelChoice) -> str:
    if not choice.is_nested:
        return NOT_NESTED
    return NESTED if choice.steps or choice.tuning is not None else OUT_OF_FOLD


def _sentences(choice: ModelChoice) -> list[str]:
    count = len(choice.networks)
    told = [f"{count} network{'s' * (count > 1)}: {choice.mixture.label}."]
    for difference in choice.differences[:1]:
        if difference.low is not None:
            clear = "" if difference.is_clear else ", which may be chance"
            told.append(
                f"Before tuning it is {abs(difference.mean):.4f} {'ahead of' if difference.mean >= 0 else 'behind'} "
                f"{difference.other} in mean Dice (95 % interval {difference.low:.4f} to {difference.high:.4f}{clear})."
            )
    if choice.tuning is not None:
        told.append(choice.tuning.sentence)
    return told


def _compared(choice: ModelChoice) -> dict[str, Metrics]:
    """Single configurations; an ensemble, untuned, first."""
    if choice.mixture.is_single or choice.untuned is None:
        return choice.compared
    return {ENSEMBLE: choice.untuned, **choice.compared}


def _story(result: PostprocessingResult) -> TuningStory:
    trials = result.search.trials
    default = next((trial.objective for trial in trials if not trial.params), None)
    return TuningStory(
        objective=_OBJECTIVES[result.objective],
        direction="maximize",
        trials=[_point(trial) for trial in trials],
        default_value=default,
        importances=result.search.importances,
        gain=result.gain.objective,
        applied=result.applied,
        sentence=result.sentence,
        pareto=[_point(trial) for trial in trials if trial.on_front],
        metric_names=("mean Dice", "mean HD95, mm") if result.pareto else (),
        directions=("maximize", "minimize") if result.pareto else (),
    )


def _point(trial: TrialRecord) -> TrialPoint:
    return TrialPoint(trial.number, trial.objective, trial.params, values=(trial.dice, trial.hd95))


def _curve(choice: ModelChoice) -> list[CurvePoint]:
    if choice.costs is None:
        return []
    points = []
    for step in choice.steps[:ENSEMBLES_SHOWN]:
        chosen = step.mixture == choice.mixture
        single = choice.compared.get(step.mixture.label)
        summary = single.mean_dice if single else choice.untuned.mean_dice if chosen and choice.untuned else None
        points.append(
            CurvePoint(
                label=step.mixture.label,
                networks=len(step.mixture.networks(choice.costs.candidates)),
                seconds_per_case=choice.costs.of(step.mixture).seconds_per_case,
                score=step.dice,
                low=None if summary is None else summary.low,
                high=None if summary is None else summary.high,
                chosen=chosen,
            )
        )
    return points


def _members(choice: ModelChoice) -> list[Member]:
    everything = sum(network.weight for network in choice.networks)
    names = list(dict.fromkeys(network.configuration for network in choice.networks))
    return [
        Member(
            name,
            [network.fold for network in choice.networks if network.configuration == name],
            sum(network.weight for network in choice.networks if network.configuration == name) / everything,
        )
        for name in names
    ]


def _race(folder: DatasetFolder) -> list[RaceRow]:
    if not folder.race_file.is_file():
        return []
    record = read_model(folder.race_file, RaceRecord)
    return [
        RaceRow(
            name,
            {f"{rung:.0%}": score for rung, score in zip(record.rungs, it.scores) if score is not None},
            it.state,
            it.reason,
        )
        for name, it in record.configurations.items()
    ]


def survival_story(folder: DatasetFolder) -> SurvivalStory | None:
    """What a survival training left for the report; None without one.

    Raises:
        UserError: if its file is not of this form.
    """
    file = folder.survival / STORY_FILE
    return read_story(file) if file.is_file() else None


def _machine(fingerprint: FingerprintFile) -> str:
    facts = fingerprint.machine.model_dump(mode="json")
    return ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in facts.items() if value not in (None, "", [], {})
    )
