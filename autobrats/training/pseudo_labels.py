"""Pseudo-labels: a teacher made of several students labels what nobody has labelled (Zhao et al., 2019, equation 3)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from autobrats.dataset.conventions import Convention
from autobrats.evaluation.overlap import region_dice
from autobrats.networks.building import build_network
from autobrats.networks.output import channel_names
from autobrats.preprocessing.store import CaseStore
from autobrats.preprocessing.transform import Prepared
from autobrats.training.checkpoints import load_tensors
from autobrats.training.job import TrainingJob
from autobrats.training.whole_cases import case_images, predict_case

_log = logging.getLogger(__name__)

TOLD_EVERY_S = 30.0


@dataclass(frozen=True)
class Student:
    """A trained network and its view.

    Attributes:
        job: that it was trained by; its store shows the cases in the student's view.
        view: the axes, 0 for z to 2 for x, that are mirrored in it.
        network: in evaluation mode, on the job's device.
    """

    job: TrainingJob
    view: tuple[int, ...]
    network: nn.Module

    @classmethod
    def trained(cls, job: TrainingJob, view: Sequence[int]) -> Student:
        """The student that the job's run has finished."""
        configuration = job.configuration
        channels = channel_names(configuration.output, job.plan.convention)
        part = configuration.network
        network = build_network(part.name, part.options, len(configuration.modalities), len(channels))
        network.load_state_dict(load_tensors(job.run.weights_file)[0])
        return cls(job, tuple(view), network.to(job.device).eval())

    def probabilities(self, name: str) -> np.ndarray:
        """What it says of a case, float32 (region, z, y, x), brought back from its view to how the case is stored."""
        seen = predict_case(self.job, self.network, case_images(self.job, name)).probabilities.numpy()
        return np.flip(seen, tuple(axis + 1 for axis in self.view))


class Teacher:
    """The average of its students' probabilities (equation 3).

    It mirrors no windows: the students' views are its mirrorings.

    Args:
        students: of one fold and configuration.
    """

    def __init__(self, students: Sequence[Student]) -> None:
        self.students = list(students)

    def probabilities(self, name: str) -> np.ndarray:
        """Region probabilities of a case, float32 (region, z, y, x)."""
        total = self.students[0].probabilities(name).copy()
        for student in self.students[1:]:
            total += student.probabilities(name)
        return total / len(self.students)

    def label(
        self, names: Sequence[str], unlabelled: CaseStore, labels: CaseStore, limit_s: float | None = None
    ) -> list[str]:
        """Label cases, one after the other, passing over those that are labelled already.

        Args:
            unlabelled: the cases' images.
            labels: where masks and locations are written; in place of the images it gets where they are not zero.
            limit_s: no case is begun after so many seconds, but the first one.

        Returns:
            The cases that are labelled now, in the order of ``names``.
        """
        job = self.students[0].job
        convention = job.plan.convention
        begun = told = time.perf_counter()
        labelled: list[str] = []
        for name in names:
            properties = unlabelled.properties(name)
            if not labels.holds(name, properties.made_from):
                now = time.perf_counter()
                if limit_s is not None and labelled and now - begun > limit_s:
                    continue
                if now - told > TOLD_EVERY_S:
                    told = now
                    _log.info("%s: %d of %d unlabelled studies labelled.", job.title, len(labelled), len(names))
                brain = (np.asarray(unlabelled.images(name)[:]) != 0).any(0)
                labels.write(
                    name,
                    properties.patient,
                    Prepared(brain[None].astype(np.float32), [True], properties.placement),
                    convention.decide(self.probabilities(name)),
                    modalities=["brain"],
                    convention=convention,
                    made_from=properties.made_from,
                    seed=job.plan.seed,
                )
            labelled.append(name)
        return labelled


def agreement(names: Sequence[str], labels: CaseStore, before: CaseStore, convention: Convention) -> dict[str, float]:
    """Dice of the pseudo-labels of two rounds by region, averaged over the cases; absent in both is 1."""
    dice = [
        region_dice(np.asarray(labels.mask(name)[:]), np.asarray(before.mask(name)[:]), convention) for name in names
    ]
    return {region: float(np.mean([of[region] for of in dice])) for region in convention.regions}


def mean_volumes_ml(names: Sequence[str], labels: CaseStore, convention: Convention) -> dict[str, float]:
    """Volume of each region in the pseudo-labels, in millilitres, averaged over the cases."""
    properties = [labels.properties(name) for name in names]
    return {
        region: float(np.mean([it.region_voxels[region] * np.prod(it.spacing_mm) / 1000 for it in properties]))
        for region in convention.regions
    }
