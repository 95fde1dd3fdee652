"""Training several folds, one after the other, within one budget."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autobrats import registry
from autobrats.dataset.cases import Dataset
from autobrats.devices import machine_facts
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics, read_metrics
from autobrats.files import read_model, write_json
from autobrats.plan import Configuration, Plan
from autobrats.planning.splits import Splits, read_splits
from autobrats.preprocessing.dataset import is_preprocessed
from autobrats.preprocessing.store import CaseStore
from autobrats.training.checkpoints import load_facts, save_weights
from autobrats.training.job import TrainingJob
from autobrats.training.run_directory import RunDirectory
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
    """

    device: torch.device
    max_hours: float | None = None
    epochs: int | None = None
    restart: bool = False
    seed: int | None = None
    loading_threads: int = 1


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
        UserError: for an unknown configuration or fold, or cases that are not preprocessed.
    """
    plan = read_model(folder.plan_file, Plan)
    dataset = read_model(folder.dataset_file, Dataset)
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases})
    if name not in plan.configurations:
        raise UserError(f"The plan has no configuration '{name}'; it has: {', '.join(plan.configurations)}.")
    folds = [_checked_fold(fold, splits) for fold in dict.fromkeys(folds)]
    _check_preprocessed(folder, dataset, plan)
    deadline = None if options.max_hours is None else time.monotonic() + 3600 * options.max_hours
    left = sum(options.restart or not RunDirectory(folder.run(name, fold)).is_finished for fold in folds)
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
            results.append(train_fold(job, options.restart))
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
        mode="json", exclude={"training", "inference", "hooks", "validation", "why"}
    )
    preprocessing = job.plan.preprocessing.model_dump(mode="json")
    convention = job.plan.convention.model_dump(mode="json")
    cases = hashlib.sha256(json.dumps([sorted(job.training_cases), sorted(job.validation_cases)]).encode()).hexdigest()
    before = job.run.read_manifest()
    if before and job.run.checkpoint_file.is_file():
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
        training_cases=len(job.training_cases),
        validation_cases=len(job.validation_cases),
        cases_sha256=cases,
        machine=machine_facts(job.run.path).model_dump(mode="json"),
    )


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
