"""One fold of one configuration: trained, validated, and marked as finished."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from typing import Any

from autobrats import registry
from autobrats.evaluation.metrics_file import Metrics
from autobrats.files import write_json
from autobrats.training.checkpoints import load_facts, save_weights
from autobrats.training.job import TrainingJob
from autobrats.training.manifest import record_start
from autobrats.training.run_directory import RunDirectory
from autobrats.training.trainer import Trainer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldResult:
    """What became of one fold: ``finished``, ``was finished`` or ``stopped``; metrics only where there is validation."""

    fold: str
    state: str
    seconds: float
    metrics: Metrics | None


def train_fold(job: TrainingJob, restart: bool = False) -> FoldResult:
    """Train, validate and mark as finished; or stop in good order when asked to.

    Args:
        restart: forget what the run has done so far, once it is sure that the plan can be trained.
    """
    begun = time.monotonic()
    trainer = start_trainer(job, restart)
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


def start_trainer(job: TrainingJob, restart: bool = False) -> Trainer:
    """The job's trainer before its first step; what the run was begun with is recorded, or checked if it goes on.

    Args:
        restart: forget what the run has done so far, once it is sure that the plan can be trained.

    Raises:
        UserError: if the plan cannot be trained, or the run was begun otherwise.
    """
    trainer = registry.build("trainer", job.configuration.trainer.name, job.configuration.trainer.options, job=job)
    if restart:
        job.run.clear()
    record_start(job)
    return trainer


def _forget_other_validation(run: RunDirectory, facts: dict[str, Any]) -> None:
    """Delete what an interrupted validation has predicted, if it was with weights that were trained further since."""
    if run.validation.is_dir() and not (run.weights_file.is_file() and load_facts(run.weights_file) == facts):
        shutil.rmtree(run.validation)
