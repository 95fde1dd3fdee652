"""autobrats' preprocessing of single cases, without the command around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ours_network import network_part
from ours_plan import BRATS, plan_like_nnunet

from autobrats.dataset.cases import Case, Dataset
from autobrats.dataset.reading import read_dataset, read_studies
from autobrats.plan import Augmentation, Plan
from autobrats.preprocessing.dataset import Job, fingerprint_of_sources


def brats_job(study: Path, patch: Sequence[int], store: Path) -> Job:
    """To preprocess a BraTS study as nnU-Net does."""
    (case,), _ = read_studies(study, BRATS)
    return job(case, plan_like_nnunet(patch, 2, network_part(deep_supervision=True)), store)


def job(case: Case, plan: Plan, store: Path) -> Job:
    """To preprocess one case."""
    made_from = fingerprint_of_sources(case, plan) or ""
    return Job(case, plan.modalities, plan.preprocessing, plan.convention, store, made_from, plan.seed)


def dataset_and_plan(
    folder: Path, patch: Sequence[int], batch: int, augmentation: Augmentation
) -> tuple[Dataset, Plan]:
    """A dataset in any layout, and a plan for it like nnU-Net's."""
    dataset, _ = read_dataset(folder, name="benchmark")
    part = network_part(deep_supervision=True)
    plan = plan_like_nnunet(patch, batch, part, dataset.modalities, dataset.convention, augmentation)
    return dataset, plan
