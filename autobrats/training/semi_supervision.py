"""Multi-view semi-supervised training of a fold: rounds of students that label what nobody has labelled, then one network.

Zhao et al., 2019, "Bag of Tricks for 3D MRI Brain Tumor Segmentation", section 2.1 and algorithm 1.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from autobrats.files import read_model, write_csv, write_json
from autobrats.preprocessing.store import CaseStore
from autobrats.training.job import TrainingJob
from autobrats.training.pseudo_labels import Student, Teacher, agreement, mean_volumes_ml
from autobrats.training.run_directory import RunDirectory
from autobrats.training.student_store import StudentStore

if TYPE_CHECKING:
    from autobrats.training.cross_validation import FoldResult

_log = logging.getLogger(__name__)

ROUNDS_SHARE = 2 / 3
"""Of a fold's hours, what the rounds may take; the network that is kept has the rest, and what they leave over."""
LABELLING_SHARE = 0.25
"""Of the rounds' time, what labelling may take; if it would take more, fewer unlabelled studies are used."""
LEAST_HOURS = 1e-3
AXES = "zyx"


class Round(BaseModel):
    """What a round's teacher has labelled.

    Attributes:
        cases: the unlabelled studies.
        volume_ml: of each region in them, on average.
        dice: between this round's labels of a region and those of the round before, on average; empty in round 0.
        mean_dice: of the regions; None in round 0.
        labelling_s: seconds that labelling took.
    """

    model_config = ConfigDict(extra="forbid")

    cases: list[str]
    volume_ml: dict[str, float]
    dice: dict[str, float] = Field(default_factory=dict)
    mean_dice: float | None = None
    labelling_s: float


class CourseRecord(BaseModel):
    """semi_supervision.json: the rounds in order, the first being number 0; and the studies that are not used."""

    model_config = ConfigDict(extra="forbid")

    rounds: list[Round] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)


class SemiSupervisedCourse:
    """The trainings of one fold with unlabelled studies; each is a run of its own below the fold's.

    In round 0 the students, one a view, learn from the labelled cases; in the rounds after it, from random weights again,
    also from the studies as the teacher of the round before has labelled them. When the labels of two rounds agree, or
    after the most rounds, the fold's own network learns from both, in no view, and is validated.

    Args:
        job: of the fold, with its unlabelled studies; its training cases are the labelled ones.
        train: trains a job to its end, going on where it was.
    """

    def __init__(self, job: TrainingJob, train: Callable[[TrainingJob], FoldResult]) -> None:
        assert job.unlabelled is not None
        self.job, self.train, self.unlabelled = job, train, job.unlabelled
        self.settings = job.configuration.semi_supervision
        file = job.run.semi_supervision_file
        self.record = read_model(file, CourseRecord) if file.is_file() else CourseRecord()
        self.record.left_out = self.unlabelled.left_out

    def run(self) -> FoldResult:
        """All rounds that are not done, then the fold's own network; ends early if a training is asked to stop."""
        begun = time.monotonic()
        if not self.record.rounds:
            _log.info(
                "%s: %d unlabelled studies; at most %d rounds of %d students, then the network that is kept.",
                self.job.title,
                len(self.unlabelled.names),
                self.settings.most_rounds + 1,
                len(self.settings.views),
            )
        while not self._is_stable:
            number = len(self.record.rounds)
            for view in range(len(self.settings.views)):
                run = self.job.run.student(number, view)
                if not run.is_finished:
                    result = self.train(self.student_job(number, view))
                    if result.state == "stopped":
                        return replace(result, seconds=time.monotonic() - begun)
                # Nothing goes on from there any more, and it is several times the size of the weights.
                run.checkpoint_file.unlink(missing_ok=True)
            self._label(number)
        return replace(self.train(self.final_job()), seconds=time.monotonic() - begun)

    @property
    def _is_stable(self) -> bool:
        rounds = self.record.rounds
        if len(rounds) > self.settings.most_rounds:
            return True
        return bool(rounds) and rounds[-1].mean_dice is not None and rounds[-1].mean_dice >= self.settings.stable_dice

    def student_job(self, number: int, view: int) -> TrainingJob:
        """The training of a student: of which round, and of which of the plan's views, both from 0.

        Its data is mirrored for good along the view's axes, so along these it is not mirrored at random. A view has the same
        seed in every round: what changes from round to round is the labels, not the luck.
        """
        axes = self.settings.views[view]
        augmentation = self.job.configuration.augmentation
        left = [axis for axis in augmentation.mirror_axes if axis not in axes]
        changes: dict[str, Any] = {"augmentation": augmentation.model_copy(update={"mirror_axes": left})}
        mirrored = f" (mirrored along {', '.join(AXES[axis] for axis in axes)})" if axes else ""
        return replace(
            self._job_after(number, axes, self._student_hours(), changes),
            validation_cases=[],
            run=self.job.run.student(number, view),
            seed=self.job.seed_of(f"view {view}"),
            part=f"round {number}, view {view}{mirrored}",
        )

    def final_job(self) -> TrainingJob:
        """The training of the network that is kept, on the last round's labels."""
        hours = self.job.configuration.training.max_hours
        spent_h = (self._students_s() + sum(it.labelling_s for it in self.record.rounds)) / 3600
        return self._job_after(len(self.record.rounds), (), None if hours is None else hours - spent_h, {})

    def _job_after(self, rounds: int, view: Sequence[int], hours: float | None, changes: dict[str, Any]) -> TrainingJob:
        """A training on the labelled cases and what the last of so many rounds has labelled."""
        names = self.record.rounds[0].cases if rounds else []
        labels = CaseStore(self.job.run.pseudo_labels(rounds - 1)) if rounds else None
        configuration = self.job.configuration
        if hours is not None:
            training = configuration.training.model_copy(update={"max_hours": max(hours, LEAST_HOURS)})
            changes = {**changes, "training": training}
        return replace(
            self.job,
            configuration=configuration.model_copy(update=changes),
            training_cases=[*self.job.training_cases, *names],
            store=StudentStore(self.job.store, self.unlabelled.store, self.unlabelled.names, labels, view),
        )

    def _label(self, number: int) -> None:
        """Let the round's teacher label the unlabelled studies, and compare with the round before."""
        run, convention = self.job.run, self.job.plan.convention
        begun = time.perf_counter()
        students = [
            Student.trained(self.student_job(number, view), axes) for view, axes in enumerate(self.settings.views)
        ]
        labels = CaseStore(run.pseudo_labels(number))
        if number:
            names = self.record.rounds[0].cases
            Teacher(students).label(names, self.unlabelled.store, labels)
        else:
            names = sorted(
                Teacher(students).label(self._shuffled(), self.unlabelled.store, labels, self._labelling_s())
            )
        done = Round(
            cases=names,
            volume_ml=mean_volumes_ml(names, labels, convention),
            labelling_s=round(time.perf_counter() - begun, 1),
        )
        if number:
            done.dice = agreement(names, labels, CaseStore(run.pseudo_labels(number - 1)), convention)
            done.mean_dice = float(np.mean(list(done.dice.values())))
        self.record.rounds.append(done)
        self._write()
        self._tell(number, done)

    def _shuffled(self) -> list[str]:
        """The unlabelled studies in an order by which a part of them is a fair sample."""
        names = sorted(self.unlabelled.names)
        order = np.random.default_rng(self.job.seed_of("unlabelled studies")).permutation(len(names))
        return [names[index] for index in order]

    # Time. What was trained before an interruption counts, as it does for a fold without unlabelled studies.

    @property
    def _rounds_s(self) -> float | None:
        hours = self.job.configuration.training.max_hours
        return None if hours is None else ROUNDS_SHARE * hours * 3600

    def _labelling_s(self) -> float | None:
        """Seconds that the labelling of one round may take."""
        return None if self._rounds_s is None else LABELLING_SHARE * self._rounds_s / (self.settings.most_rounds + 1)

    def _student_hours(self) -> float | None:
        """An even share, for each student that is not finished, of what is left to all of them."""
        if self._rounds_s is None:
            return None
        most = (self.settings.most_rounds + 1) * len(self.settings.views)
        left_s = (1 - LABELLING_SHARE) * self._rounds_s - self._students_s()
        return left_s / 3600 / max(1, most - len(self._finished_students()))

    def _students_s(self) -> float:
        return sum(_trained_s(run) for run in self._finished_students())

    def _finished_students(self) -> list[RunDirectory]:
        rounds, views = range(self.settings.most_rounds + 1), range(len(self.settings.views))
        runs = [self.job.run.student(number, view) for number in rounds for view in views]
        return [run for run in runs if run.is_finished]

    # What is told.

    def _write(self) -> None:
        write_json(self.job.run.semi_supervision_file, self.record)
        regions = list(self.job.plan.convention.regions)
        dice, volume = [f"dice_{region}" for region in regions], [f"volume_ml_{region}" for region in regions]
        rows: list[list[Any]] = []
        for number, done in enumerate(self.record.rounds):
            agreed = [
                "" if value is None else round(value, 4) for value in (done.mean_dice, *map(done.dice.get, regions))
            ]
            volumes = [round(done.volume_ml[region], 2) for region in regions]
            rows.append([number, len(done.cases), *agreed, *volumes])
        heading = ["round", "unlabelled_cases", "mean_dice", *dice, *volume]
        write_csv(self.job.run.semi_supervision_table, heading, rows)

    def _tell(self, number: int, done: Round) -> None:
        volumes = ", ".join(f"{region} {volume:.1f} ml" for region, volume in done.volume_ml.items())
        compared = ""
        if done.mean_dice is not None:
            by_region = ", ".join(f"{region} {dice:.3f}" for region, dice in done.dice.items())
            compared = f"; mean Dice with the labels of round {number - 1}: {done.mean_dice:.3f} ({by_region})"
        _log.info(
            "%s: round %d: %d studies labelled, on average %s%s.",
            self.job.title,
            number,
            len(done.cases),
            volumes,
            compared,
        )


def _trained_s(run: RunDirectory) -> float:
    """Seconds of training of a finished run, earlier starts included."""
    return float(json.loads(run.history_file.read_text(encoding="utf-8").splitlines()[-1])["seconds"])
