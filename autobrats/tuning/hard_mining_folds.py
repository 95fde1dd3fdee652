"""The finished folds of a configuration, from which hard mining is tuned."""

from __future__ import annotations

from pathlib import Path

import torch

from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import read_metrics
from autobrats.plan import Plan
from autobrats.planning.splits import read_splits
from autobrats.preprocessing.dataset import is_preprocessed
from autobrats.preprocessing.store import CaseStore
from autobrats.training.job import TrainingJob
from autobrats.training.run_directory import RunDirectory
from autobrats.tuning.hard_mining_fine_tuning import FoldTuning
from autobrats.workspace import DatasetFolder


def open_folds(
    folder: DatasetFolder, dataset: Dataset, plan: Plan, name: str, *, seed: int, device: torch.device, files: Path
) -> list[FoldTuning]:
    """The folds of a configuration whose training is finished.

    Args:
        name: of the configuration.
        seed: of the batches of the fine-tunings.
        files: the folder for files of the tuning.

    Raises:
        UserError: if there is no such configuration, none of its folds is finished, or a fold was trained with another plan,
            other splits or other preprocessed cases than those of now.
    """
    if name not in plan.configurations:
        raise UserError(f"The plan has no configuration '{name}'; it has: {', '.join(plan.configurations)}.")
    splits = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases}).folds
    runs = {str(number): RunDirectory(folder.run(name, number)) for number in range(len(splits))}
    finished = {fold: run for fold, run in runs.items() if run.is_finished and splits[int(fold)].val}
    if not finished:
        raise UserError(f"No fold of {name} is trained yet; run autobrats_train {name} 0 first.")
    store = CaseStore(folder.preprocessed)
    if missing := [case.name for case in dataset.cases if not is_preprocessed(case, plan, store)]:
        raise UserError(
            f"{len(missing)} cases are not preprocessed as the plan says (the first is {missing[0]}); run autobrats_plan again."
        )
    folds = []
    for fold, run in finished.items():
        job = TrainingJob(
            dataset=dataset,
            plan=plan,
            name=name,
            configuration=plan.configurations[name],
            fold=fold,
            training_cases=splits[int(fold)].train,
            validation_cases=splits[int(fold)].val,
            store=store,
            run=run,
            device=device,
            seed=seed,
            loading_threads=1,
        )
        _check_run(job)
        folds.append(FoldTuning(job, files))
    return folds


def _check_run(job: TrainingJob) -> None:
    """UserError unless the fold was trained with the plan and the splits of now."""
    manifest, own = job.run.read_manifest(), job.configuration.model_dump(mode="json")
    now = {
        "preprocessing": job.plan.preprocessing.model_dump(mode="json"),
        "convention": job.plan.convention.model_dump(mode="json"),
        **{key: own[key] for key in ("modalities", "intensities", "output", "network")},
    }
    then = {**manifest, **manifest.get("configuration", {})}
    # Manifests of older versions say less.
    if any(then.get(key, value) != value for key, value in now.items()):
        raise UserError(f"{job.title} was trained with another plan; go back to that plan, or train it with --restart.")
    if set(read_metrics(job.run.metrics_file).cases) != set(job.validation_cases):
        raise UserError(
            f"{job.title} has validated other cases than splits.json holds back; go back to the splits of that time, or "
            "train it with --restart."
        )
