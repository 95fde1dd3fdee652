"""Several configurations and folds within one budget: what is missing, in order or one on each device."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from autobrats.devices import core_count
from autobrats.files import read_json
from autobrats.training.child_jobs import ChildJob, counted_stop_requests
from autobrats.training.cross_validation import CrossValidation
from autobrats.training.progress_table import FoldRow, ProgressTable
from autobrats.training.run_directory import RunDirectory
from autobrats.training.shared_hours import SharedHours
from autobrats.training.stopping import failure_reason
from autobrats.training.watching import Watcher, read_progress

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Task:
    """A fold to train.

    Attributes:
        name: of the configuration.
        fold: 0, 1, ... or ``all``.
        hours: of this fold, earlier starts included; None for an even share.
    """

    name: str
    fold: str
    hours: float | None = None


ChildCommand = Callable[[Task, torch.device, float | None], Sequence[str]]
"""The command that trains one task on a device within hours (None without a budget)."""


class Campaign:
    """Trains the tasks that are not finished, in their order.

    A budget is shared out evenly: with one at a time, what a fold leaves over goes to the next; with k at once, each has
    the hours of its round. A fold that fails is reported, and the others go on; if it is the only task, its error is
    raised.

    Args:
        training: the dataset, its trainings and their options.
        tasks: without repetitions.
        devices: one for each fold that runs at the same time. With one, the folds are trained in this process; with
            several, each in a process of its own.
        child_command: for processes of their own.
        debug: whether the traceback of a failure is told.

    Attributes:
        table: one row a task.
    """

    def __init__(
        self,
        training: CrossValidation,
        tasks: Sequence[Task],
        devices: Sequence[torch.device],
        child_command: ChildCommand,
        debug: bool = False,
    ) -> None:
        self.training, self.tasks = training, list(tasks)
        self.devices, self.child_command, self.debug = list(devices), child_command, debug
        self.table = ProgressTable([self._row(task) for task in self.tasks], is_live=len(self.tasks) > 1)

    def run(self) -> list[FoldRow]:
        """Train what is missing; what became of each task, in their order.

        Raises:
            UserError: for a name or a fold that is not known, cases that are not preprocessed, or unlabelled studies of
                which none can be used.
        """
        self.training.check([task.name for task in self.tasks], [task.fold for task in self.tasks])
        waiting = [
            (task, row)
            for task, row in zip(self.tasks, self.table.rows, strict=True)
            if self.training.is_left(task.name, task.fold)
        ]
        if waiting:
            _ = self.training.unlabelled  # once, before several processes would
        shared = SharedHours(self.training.options.max_hours)
        with self.table:
            for row in self.table.rows:
                if all(row is not other for _, other in waiting):
                    self._take_result(row, "was finished")
            if len(self.devices) > 1 and len(waiting) > 1:
                self._run_children(waiting, shared)
            else:
                self._run_here(waiting, shared)
        return list(self.table.rows)

    def _run_here(self, waiting: list[tuple[Task, FoldRow]], shared: SharedHours) -> None:
        for index, (task, row) in enumerate(waiting):
            hours = task.hours or shared.for_next(len(waiting) - index)
            begun = time.monotonic()
            row.begin()
            watcher = Watcher(self.training.run(task.name, task.fold), partial(self.table.show_progress, row))
            try:
                result = self.training.train(task.name, task.fold, hours, [watcher], shows_bar=len(self.tasks) == 1)
            except KeyboardInterrupt:
                self.table.change(row, state="stopped", seconds=time.monotonic() - begun)
                raise
            except Exception as error:
                if len(self.tasks) == 1:
                    raise
                self._fail(row, failure_reason(error), time.monotonic() - begun)
                if self.debug:
                    _log.error("%s failed.", row.title, exc_info=True)
                continue
            if result.state == "stopped":
                self.table.change(row, state="stopped", seconds=result.seconds)
                return
            self._take_result(row, "finished", result.seconds)

    def _run_children(self, waiting: list[tuple[Task, FoldRow]], shared: SharedHours) -> None:
        free = list(self.devices)
        threads = max(1, core_count() // len(free))
        running: list[tuple[ChildJob, FoldRow, torch.device, float]] = []
        with counted_stop_requests() as requests:
            heeded = 0
            try:
                while running or (waiting and not requests.count):
                    while waiting and free and not requests.count:
                        device = free.pop(0)
                        unfinished = len(waiting) + len(running)
                        task, row = waiting.pop(0)
                        hours = task.hours or shared.for_next(unfinished, len(self.devices))
                        child = self._start(task, row, device, hours, threads)
                        running.append((child, row, device, time.monotonic()))
                    time.sleep(LOOK_EVERY_S)
                    if requests.count > heeded:
                        heeded = requests.count
                        if heeded == 1:
                            _log.warning(
                                "The trainings write their checkpoints and leave; a second Ctrl-C ends them at once."
                            )
                        for child, *_ in running:
                            child.stop() if heeded == 1 else child.kill()
                    for entry in list(running):
                        child, row, device, begun = entry
                        self._look(row)
                        if child.has_ended:
                            running.remove(entry)
                            free.append(device)
                            self._end(child, row, time.monotonic() - begun)
            finally:
                for child, *_ in running:
                    child.kill()

    def _start(self, task: Task, row: FoldRow, device: torch.device, hours: float | None, threads: int) -> ChildJob:
        run = self.training.run(task.name, task.fold)
        run.progress_file.unlink(missing_ok=True)
        row.begin()
        self.table.change(row, state="training")
        return ChildJob(self.child_command(task, device, hours), run.log_file, threads)

    def _end(self, child: ChildJob, row: FoldRow, seconds: float) -> None:
        if child.state == "failed":
            self._fail(row, child.reason, seconds)
        elif child.state == "stopped":
            self.table.change(row, state="stopped", seconds=seconds)
        else:
            self._take_result(row, "finished", seconds)

    def _look(self, row: FoldRow) -> None:
        progress = read_progress(self.training.run(row.name, row.fold))
        if progress is not None:
            self.table.show_progress(row, progress)

    def _fail(self, row: FoldRow, reason: str, seconds: float) -> None:
        self.table.change(row, state="failed", reason=reason, seconds=seconds)

    def _take_result(self, row: FoldRow, state: str, seconds: float | None = None) -> None:
        """The row of a fold that is finished."""
        metrics = self.training.metrics(row.name, row.fold)
        iterations = _finished_iterations(self.training.run(row.name, row.fold))
        dice = None if metrics is None else metrics.mean_dice.mean
        self.table.change(
            row, state=state, iteration=iterations, total_iterations=iterations, seconds=seconds, dice=dice
        )

    def _row(self, task: Task) -> FoldRow:
        run = self.training.run(task.name, task.fold)
        before = None if self.training.options.restart else read_progress(run)
        if before is None:
            return FoldRow(task.name, task.fold)
        return FoldRow(task.name, task.fold, iteration=before.iteration, total_iterations=before.total_iterations)


def devices_of(device: torch.device, jobs: int | None = None) -> list[torch.device]:
    """A device for each training that runs at the same time.

    Args:
        device: ``cuda`` without a number means every GPU; anything else is one device.
        jobs: so many trainings at once; None for one on each device.
    """
    devices = [device]
    if device.type == "cuda" and device.index is None:
        devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if jobs is None:
        jobs = len(devices)
    if jobs == 1:
        return [device]
    return [devices[index % len(devices)] for index in range(jobs)]


def _finished_iterations(run: RunDirectory) -> int | None:
    return read_json(run.finished_file)["iterations"] if run.is_finished else None
