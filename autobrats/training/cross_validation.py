"""Training several folds, one after the other, within one budget."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from autobrats import registry
from autobrats.dataset.cases import Dataset
from autobrats.dataset.volumes import study_memory_gib
from autobrats.devices import machine_facts
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics, read_metrics
from autobrats.files import read_model, write_json
from autobrats.plan import Configuration, Plan
from autobrats.planning.splits import Splits, in_no_fold, read_splits
from autobrats.preprocessing.dataset import is_preprocessed
from autobrats.preprocessing.store import CaseStore
from autobrats.training.checkpoints import load_facts, save_weights
from autobrats.training.job import TrainingJob
from autobrats.training.pretrained import pretrained_file
from autobrats.training.run_directory import RunDirectory
from autobrats.training.semi_supervision import SemiSupervisedCourse
from autobrats.training.unlabelled_studies import UnlabelledStudies, for_fold, read_unlabelled
from autobrats.workers import default_workers
from autobrats.workspace import DatasetFolder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOptions:
    """What the command line may change.

    Attributes:
        device: where to train.
        max_hours: for all folds of this call together.
        epochs: instead of the plan's length.
        restart: forget what the runs have done so far.
        seed: instead of the plan's.
        loading_threads: that read ahead.
        pretrained: a model folder, or a file of weights, to start from.
        unlabelled: studies in any layout that are used beside the labelled cases.
    """

    device: torch.device
    max_hours: float | None = None
    epochs: int | None = None
    restart: bool = False
    seed: int | None = None
    loading_threads: int = 1
    pretrained: Path | None = None
    unlabelled: Path | None = None


@dataclass(frozen=True)
class FoldResult:
    """What became of one fold: ``finished``, ``was finished`` or ``stopped``; metrics only where there is validation."""

    fold: str
    state: str
    seconds: float
    metrics: Metrics | None


def train_folds(
    folder: DatasetFolder,
    name: str,
    folds: Sequence[str],
    options: TrainingOptions,
    on_fold: Callable[[FoldResult], None] = lambda result: None,
) -> list[FoldResult]:
    """Train and validate the folds of one configuration that are not finished yet.

    A budget is shared out evenly over the folds that are left; what a fold leaves over goes to the next.

    Raises:
        UserError: for an unknown configuration or fold, cases that are not preprocessed, or unlabelled studies of which none
            can be used.
    """
    plan = read_model(folder.plan_file, Plan)
    dataset = read_model(folder.dataset_file, Dataset)
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
    if name not in plan.configurations:
        raise UserError(f"The plan has no configuration '{name}'; it has: {', '.join(plan.configurations)}.")
    folds = [_checked_fold(fold, splits) for fold in dict.fromkeys(folds)]
    _check_preprocessed(folder, dataset, plan)
    left = sum(options.restart or not RunDirectory(folder.run(name, fold)).is_finished for fold in folds)
    studies = _unlabelled(folder, dataset, plan, options) if left else None
    deadline = None if options.max_hours is None else time.monotonic() + 3600 * options.max_hours
    results = []
    for fold in folds:
        run = RunDirectory(folder.run(name, fold))
        if run.is_finished and not options.restart:
            results.append(FoldResult(fold, "was finished", 0.0, _metrics(run)))
        else:
            hours = None if deadline is None else max(0.0, deadline - time.monotonic()) / 3600 / left
            left -= 1
            configuration = _with_length(plan.configurations[name], hours, options.epochs)
            job = _job(folder, dataset, plan, splits, name, configuration, fold, run, options)
            if studies is None:
                results.append(train_fold(job, options.restart))
            else:
                usable = for_fold(studies, dataset, job.store, job.training_cases, job.channels)
                results.append(_train_semi_supervised(replace(job, unlabelled=usable), options.restart))
        on_fold(results[-1])
        if results[-1].state == "stopped":
            break
    return results


def train_fold(job: TrainingJob, restart: bool = False) -> FoldResult:
    """Train, validate and mark as finished; or stop in good order when asked to.

    Args:
        restart: forget what the run has done so far, once it is sure that the plan can be trained.
    """
    begun = time.monotonic()
    trainer = registry.build("trainer", job.configuration.trainer.name, job.configuration.trainer.options, job=job)
    if restart:
        job.run.clear()
    _record_start(job)
    trainer.train()
    step_s = trainer.step_s
    if trainer.stop_reason is not None:
        _log.warning(
            "%s stopped by %s after iteration %d; the same command%s goes on from there.",
            job.title,
            trainer.stop_reason,
            trainer.iteration,
            ", without --restart," if restart else "",
        )
        return FoldResult(job.fold, "stopped", time.monotonic() - begun, None)
    facts = {"configuration": job.name, "fold": job.fold, "iterations": trainer.iteration}
    _forget_other_validation(job.run, facts)
    save_weights(job.run.weights_file, trainer.average.network, facts)
    part = job.configuration.validation
    metrics = None
    if job.validation_cases:
        given = {"job": job, "network": trainer.average.network, "step_s": step_s}
        metrics = registry.build("validation", part.name, part.options, **given)
    write_json(job.run.finished_file, {**facts, "seconds": round(time.monotonic() - begun, 1)})
    return FoldResult(job.fold, "finished", time.monotonic() - begun, metrics)


def _train_semi_supervised(job: TrainingJob, restart: bool) -> FoldResult:
    """The same with the job's unlabelled studies: several trainings, of which the last is the fold's own."""
    if restart:
        # Nothing is forgotten if the plan cannot be trained.
        registry.build("trainer", job.configuration.trainer.name, job.configuration.trainer.options, job=job)
        job.run.clear()
    _record_start(job)
    result = SemiSupervisedCourse(job, train_fold).run()
    if restart and result.state == "stopped":
        _log.warning("Leave --restart out to go on; with it, %s begins anew.", job.title)
    return result


def _forget_other_validation(run: RunDirectory, facts: dict[str, Any]) -> None:
    """Delete what an interrupted validation has predicted, if it was with weights that were trained further since."""
    if run.validation.is_dir() and not (run.weights_file.is_file() and load_facts(run.weights_file) == facts):
        shutil.rmtree(run.validation)


def _record_start(job: TrainingJob) -> None:
    """Write the manifest, or check a run that goes on against the one it has.

    Raises:
        UserError: if the plan was changed in between in a way that the checkpoint does not fit.
    """
    described = job.configuration.model_dump(
        mode="json",
        exclude={"training", "semi_supervision", "inference", "hooks", "validation", "postprocessing", "why"},
    )
    preprocessing = job.plan.preprocessing.model_dump(mode="json")
    convention = job.plan.convention.model_dump(mode="json")
    cases = hashlib.sha256(json.dumps([sorted(job.labelled_cases), sorted(job.validation_cases)]).encode()).hexdigest()
    unlabelled = _described_unlabelled(job)
    before = job.run.read_manifest()
    if before and (job.run.checkpoint_file.is_file() or job.run.semi_supervision.is_dir()):
        _check_unlabelled(job, before.get("unlabelled"), unlabelled)
        if [before.get(key) for key in ("configuration", "preprocessing", "convention")] != [
            described,
            preprocessing,
            convention,
        ]:
            raise UserError(
                f"{job.title} was begun with another plan; go on with that plan, or forget the run with --restart."
            )
        if before.get("cases_sha256") != cases:
            raise UserError(
                f"{job.title} was begun with other training and validation cases; go on with the splits.json of that "
                "time, or forget the run with --restart."
            )
        if before["seed"] != job.seed:
            raise UserError(f"{job.title} was begun with --seed {before['seed']}; go on with it, or use --restart.")
        return
    job.run.write_manifest(
        name=job.name,
        fold=job.fold,
        seed=job.seed,
        device=str(job.device),
        plan_sha256=hashlib.sha256(job.plan.model_dump_json().encode()).hexdigest(),
        configuration=described,
        preprocessing=preprocessing,
        convention=convention,
        training=job.configuration.training.model_dump(mode="json"),
        training_cases=len(job.labelled_cases),
        validation_cases=len(job.validation_cases),
        pretrained=None if job.pretrained is None else str(job.pretrained),
        cases_sha256=cases,
        unlabelled=unlabelled,
        machine=machine_facts(job.run.path).model_dump(mode="json"),
    )


def _described_unlabelled(job: TrainingJob) -> dict[str, Any] | None:
    """What the manifest says of the unlabelled studies, and of what the students depend on."""
    if job.unlabelled is None:
        return None
    settings = job.configuration.semi_supervision
    return {
        "folder": str(job.unlabelled.folder),
        "cases": job.unlabelled.names,
        "sha256": job.unlabelled.sha256,
        "views": settings.views,
        "unlabelled_weight": settings.unlabelled_weight,
    }


def _check_unlabelled(job: TrainingJob, before: dict[str, Any] | None, now: dict[str, Any] | None) -> None:
    """UserError unless a run goes on with the unlabelled studies that it was begun with."""
    if before == now:
        return
    if before is None:
        raise UserError(f"{job.title} was begun without --unlabelled; go on without it, or use --restart.")
    if now is None:
        raise UserError(
            f"{job.title} was begun with unlabelled studies; go on with --unlabelled {before['folder']}, or forget the run "
            "with --restart."
        )
    if before["sha256"] == now["sha256"] and before["folder"] == now["folder"]:
        raise UserError(
            f"{job.title} was begun with other views or another unlabelled_weight; go on with that plan, or forget the run "
            "with --restart."
        )
    raise UserError(
        f"{job.title} was begun with other unlabelled studies ({len(before['cases'])} of {before['folder']}, now "
        f"{len(now['cases'])} of {now['folder']}); go on with those as they were, or forget the run with --restart."
    )


def _unlabelled(
    folder: DatasetFolder, dataset: Dataset, plan: Plan, options: TrainingOptions
) -> UnlabelledStudies | None:
    if options.unlabelled is None:
        return None
    workers = default_workers(study_memory_gib(dataset)) if options.loading_threads else 0
    return read_unlabelled(options.unlabelled, plan, folder.path / "unlabelled", workers)


def _job(
    folder: DatasetFolder,
    dataset: Dataset,
    plan: Plan,
    splits: Splits,
    name: str,
    configuration: Configuration,
    fold: str,
    run: RunDirectory,
    options: TrainingOptions,
) -> TrainingJob:
    annotated = [case.name for case in dataset.cases if case.mask is not None]
    if fold == "all":
        training, validation = annotated, []
        if held_back := in_no_fold(splits, annotated):
            _log.warning(
                "Fold 'all' trains on %d cases that are in no other fold too (the first is %s); if they were held back for "
                "testing, test with the other folds.",
                len(held_back),
                held_back[0],
            )
    else:
        chosen = splits.folds[int(fold)]
        training, validation = chosen.train, chosen.val
    return TrainingJob(
        dataset=dataset,
        plan=plan,
        name=name,
        configuration=configuration,
        fold=fold,
        training_cases=training,
        validation_cases=validation,
        store=CaseStore(folder.preprocessed),
        run=run,
        device=options.device,
        seed=plan.seed if options.seed is None else options.seed,
        loading_threads=options.loading_threads,
        most_iterations=None if options.epochs is None else configuration.training.iterations,
        pretrained=None if options.pretrained is None else pretrained_file(options.pretrained, name),
    )


def _with_length(configuration: Configuration, hours: float | None, epochs: int | None) -> Configuration:
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes = {"iterations": epochs * configuration.training.iterations_per_epoch, "max_hours": hours}
    elif hours is not None:
        changes = {"max_hours": max(hours, 1e-3)}
    training = configuration.training.model_copy(update=changes)
    return configuration.model_copy(update={"training": training})


def _checked_fold(fold: str, splits: Splits) -> str:
    known = [*(str(number) for number in range(len(splits.folds))), "all"]
    if fold not in known:
        raise UserError(f"There is no fold '{fold}'; this dataset has: {', '.join(known)}.")
    return fold


def _check_preprocessed(folder: DatasetFolder, dataset: Dataset, plan: Plan) -> None:
    store = CaseStore(folder.preprocessed)
    missing = [case.name for case in dataset.cases if not is_preprocessed(case, plan, store)]
    if missing:
        raise UserError(
            f"{len(missing)} cases are not preprocessed as the plan says (the first is {missing[0]}); run autobrats_plan "
            "again, it goes on where it stopped."
        )


def _metrics(run: RunDirectory) -> Metrics | None:
    return read_metrics(run.metrics_file) if run.metrics_file.is_file() else None
