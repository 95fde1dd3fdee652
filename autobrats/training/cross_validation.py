"""The folds of a planned dataset: what each is trained on, and training them one after the other within one budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from autobrats import registry
from autobrats.dataset.cases import Dataset
from autobrats.dataset.volumes import study_memory_gib
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics, read_metrics
from autobrats.files import read_model
from autobrats.plan import Configuration, Plan
from autobrats.planning.splits import Splits, in_no_fold, read_splits
from autobrats.preprocessing.dataset import is_preprocessed
from autobrats.preprocessing.store import CaseStore
from autobrats.training.fold import FoldResult, train_fold
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob
from autobrats.training.manifest import record_start
from autobrats.training.pretrained import pretrained_file
from autobrats.training.run_directory import RunDirectory
from autobrats.training.semi_supervision import SemiSupervisedCourse
from autobrats.training.shared_hours import SharedHours
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


class CrossValidation:
    """A planned dataset, and the trainings that its configurations and folds ask for.

    Args:
        folder: of the dataset, planned and preprocessed.
        options: of all trainings; ``max_hours`` is for the caller to share out.

    Raises:
        UserError: if a file of the dataset is missing or wrong.
    """

    def __init__(self, folder: DatasetFolder, options: TrainingOptions) -> None:
        self.folder, self.options = folder, options
        self.plan = read_model(folder.plan_file, Plan)
        self.dataset = read_model(folder.dataset_file, Dataset)
        patients = {case.name: case.patient for case in self.dataset.cases}
        self.splits: Splits = read_splits(folder.splits_file, patients)

    @property
    def folds(self) -> list[str]:
        """The folds of the cross-validation; ``all`` is not among them."""
        return [str(number) for number in range(len(self.splits.folds))]

    def check(self, names: Sequence[str], folds: Sequence[str]) -> None:
        """Whether these can be trained.

        Raises:
            UserError: for an unknown configuration or fold, or cases that are not preprocessed.
        """
        for name in names:
            if name not in self.plan.configurations:
                known = ", ".join(self.plan.configurations)
                raise UserError(f"The plan has no configuration '{name}'; it has: {known}.")
        for fold in folds:
            if fold not in (known_folds := [*self.folds, "all"]):
                raise UserError(f"There is no fold '{fold}'; this dataset has: {', '.join(known_folds)}.")
        store = CaseStore(self.folder.preprocessed)
        missing = [case.name for case in self.dataset.cases if not is_preprocessed(case, self.plan, store)]
        if missing:
            raise UserError(
                f"{len(missing)} cases are not preprocessed as the plan says (the first is {missing[0]}); run "
                "autobrats_plan again, it goes on where it stopped."
            )

    def run(self, name: str, fold: str) -> RunDirectory:
        """The run of a configuration and fold."""
        return RunDirectory(self.folder.run(name, fold))

    def is_left(self, name: str, fold: str) -> bool:
        """Whether the fold is to be trained: it is not finished, or everything begins anew."""
        return self.options.restart or not self.run(name, fold).is_finished

    def metrics(self, name: str, fold: str) -> Metrics | None:
        """The scores of a finished fold; None where it has no validation."""
        file = self.run(name, fold).metrics_file
        return read_metrics(file) if file.is_file() else None

    @cached_property
    def unlabelled(self) -> UnlabelledStudies | None:
        """The unlabelled studies, read and preprocessed when they are first asked for.

        Raises:
            UserError: if none of them can be used.
        """
        if self.options.unlabelled is None:
            return None
        workers = default_workers(study_memory_gib(self.dataset)) if self.options.loading_threads else 0
        return read_unlabelled(self.options.unlabelled, self.plan, self.folder.path / "unlabelled", workers)

    def train(
        self, name: str, fold: str, hours: float | None, hooks: Sequence[Hook] = (), shows_bar: bool = True
    ) -> FoldResult:
        """Train and validate a fold; see :meth:`job`."""
        job = self.job(name, fold, hours, hooks, shows_bar)
        if self.unlabelled is None:
            return train_fold(job, self.options.restart)
        usable = for_fold(self.unlabelled, self.dataset, job.store, job.training_cases, job.channels)
        return _train_semi_supervised(replace(job, unlabelled=usable), self.options.restart)

    def job(
        self, name: str, fold: str, hours: float | None, hooks: Sequence[Hook] = (), shows_bar: bool = True
    ) -> TrainingJob:
        """The training of a fold, without unlabelled studies.

        Args:
            name: of the configuration.
            fold: 0, 1, ... or ``all``.
            hours: that the fold may take, earlier starts included; None for the plan's length.
            hooks, shows_bar: of the job.
        """
        options = self.options
        configuration = _with_length(self.plan.configurations[name], hours, options.epochs)
        training, validation = self._cases(fold)
        return TrainingJob(
            dataset=self.dataset,
            plan=self.plan,
            name=name,
            configuration=configuration,
            fold=fold,
            training_cases=training,
            validation_cases=validation,
            store=CaseStore(self.folder.preprocessed),
            run=self.run(name, fold),
            device=options.device,
            seed=self.plan.seed if options.seed is None else options.seed,
            loading_threads=options.loading_threads,
            most_iterations=None if options.epochs is None else configuration.training.iterations,
            pretrained=None if options.pretrained is None else pretrained_file(options.pretrained, name),
            hooks=tuple(hooks),
            shows_bar=shows_bar,
        )

    def _cases(self, fold: str) -> tuple[list[str], list[str]]:
        """The training and the validation cases of a fold."""
        if fold != "all":
            chosen = self.splits.folds[int(fold)]
            return chosen.train, chosen.val
        annotated = [case.name for case in self.dataset.cases if case.mask is not None]
        if held_back := in_no_fold(self.splits, annotated):
            _log.warning(
                "Fold 'all' trains on %d cases that are in no other fold too (the first is %s); if they were held back for "
                "testing, test with the other folds.",
                len(held_back),
                held_back[0],
            )
        return annotated, []


def train_folds(
    folder: DatasetFolder,
    name: str,
    folds: Sequence[str],
    options: TrainingOptions,
    on_fold: Callable[[FoldResult], None] = lambda result: None,
) -> list[FoldResult]:
    """Train and validate the folds of one configuration that are not finished yet; the first failure is raised.

    A budget is shared out evenly over the folds that are left; what a fold leaves over goes to the next. For several
    configurations, several devices, and failures that others survive, see :mod:`autobrats.training.campaign`.

    Raises:
        UserError: for an unknown configuration or fold, cases that are not preprocessed, or unlabelled studies of which none
            can be used.
    """
    training = CrossValidation(folder, options)
    folds = list(dict.fromkeys(folds))
    training.check([name], folds)
    left = [fold for fold in folds if training.is_left(name, fold)]
    hours = SharedHours(options.max_hours)
    results: list[FoldResult] = []
    for fold in folds:
        if fold in left:
            each = hours.for_next(len(left))
            left.remove(fold)
            results.append(training.train(name, fold, each))
        else:
            results.append(FoldResult(fold, "was finished", 0.0, training.metrics(name, fold)))
        on_fold(results[-1])
        if results[-1].state == "stopped":
            break
    return results


def _train_semi_supervised(job: TrainingJob, restart: bool) -> FoldResult:
    """Several trainings, with the job's unlabelled studies, of which the last is the fold's own."""
    if restart:
        # Nothing is forgotten if the plan cannot be trained.
        registry.build("trainer", job.configuration.trainer.name, job.configuration.trainer.options, job=job)
        job.run.clear()
    record_start(job)
    result = SemiSupervisedCourse(job, train_fold).run()
    if restart and result.state == "stopped":
        _log.warning("Leave --restart out to go on; with it, %s begins anew.", job.title)
    return result


def _with_length(configuration: Configuration, hours: float | None, epochs: int | None) -> Configuration:
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes = {"iterations": epochs * configuration.training.iterations_per_epoch, "max_hours": hours}
    elif hours is not None:
        changes = {"max_hours": max(hours, 1e-3)}
    training = configuration.training.model_copy(update=changes)
    return configuration.model_copy(update={"training": training})
