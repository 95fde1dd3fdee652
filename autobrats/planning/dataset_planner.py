"""The decisions that all configurations of a plan share: folds and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from autobrats.dataset.cases import Dataset
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.plan import Normalisation, Preprocessing


@dataclass(frozen=True)
class Wishes:
    """What the user asked for.

    Attributes:
        max_hours: for all folds together; None if not given.
        epochs: None if not given.
        gpu_memory_gib: plan for a card of that size instead of this machine's device.
        device: to train on.
        seed: of everything.
        n_folds: of the user's own folds; None to decide.
        training_cases: of the first fold, if the folds are known already.
    """

    device: torch.device
    max_hours: float | None = None
    epochs: int | None = None
    gpu_memory_gib: float | None = None
    seed: int = 0
    n_folds: int | None = None
    training_cases: int | None = None


class DatasetPlanner:
    """Decides what depends on the dataset alone; each decision leaves its reason in ``plan_why``.

    Args:
        dataset: the cases.
        fingerprint: what was measured of them.
        wishes: what the user asked for.
    """

    def __init__(self, dataset: Dataset, fingerprint: DatasetFingerprint, wishes: Wishes) -> None:
        self.dataset, self.fingerprint, self.wishes = dataset, fingerprint, wishes
        self.plan_why: dict[str, str] = {}

    def decide_folds(self) -> int:
        """The user's own; else five, or one a patient where there are fewer; none for one patient."""
        if self.wishes.n_folds is not None:
            folds = self.wishes.n_folds
            self.plan_why["folds"] = f"{folds} fold{'s' * (folds != 1)}, as you divide the cases."
            return folds
        patients = self.fingerprint.patients
        folds = min(5, patients) if patients > 1 else 0
        graded = "grade and of every " * any(case.clinical.get("grade") for case in self.dataset.cases)
        self.plan_why["folds"] = {
            5: f"Five, by patient (there are {patients}), each with its share of every {graded}combination of regions.",
            0: "There is one patient: no fold can be held back, only fold 'all' can be trained.",
        }.get(folds, f"{folds}, each validating one patient, because there are only {patients} patients.")
        return folds

    def decide_preprocessing(self) -> Preprocessing:
        """Cropping, spacing and normalisation."""
        bounded = self.fingerprint.brain_is_bounded
        self.plan_why["crop_to_brain"] = (
            "Outside the brain the images are constant; that is cropped away."
            if bounded
            else "The images have no zero background, so nothing is cropped."
        )
        return Preprocessing(
            crop_to_brain=bounded, spacing_mm=self.decide_spacing(), normalisation=self.decide_normalisation()
        )

    def decide_spacing(self) -> tuple[float, float, float]:
        """The median spacing; along a coarse axis, if some studies are finer there, their 10th percentile."""
        median = self.fingerprint.median_spacing_mm
        z, y, x = median
        shown = f"{z:.3g} x {y:.3g} x {x:.3g} mm (z, y, x)"
        if self.fingerprint.min_spacing_mm == self.fingerprint.max_spacing_mm:
            self.plan_why["spacing_mm"] = "Every study has this spacing already; nothing is resampled."
            return (z, y, x)
        spacing = [z, y, x]
        coarse = max(range(3), key=spacing.__getitem__)
        if spacing[coarse] > 3 * min(spacing):
            along = sorted(fp.spacing_mm[coarse] for fp in self.fingerprint.cases.values())
            spacing[coarse] = max(along[len(along) // 10], min(spacing))
            self.plan_why["spacing_mm"] = (
                f"The median of the studies is {shown}; along the coarse axis the 10th percentile, "
                f"{spacing[coarse]:.3g} mm, keeps the detail of the finer studies."
            )
        else:
            self.plan_why["spacing_mm"] = "It is the median of the studies."
        return (spacing[0], spacing[1], spacing[2])

    def decide_normalisation(self) -> dict[str, Normalisation]:
        """z-score by study, unless the images are normalised already."""
        statistics = self.fingerprint.intensities
        if self.fingerprint.already_normalised:
            self.plan_why["normalisation"] = (
                "The images have negative intensities: somebody normalised each study already, so one mean and deviation "
                "a modality serves the whole dataset."
            )
            return {
                modality: Normalisation(method="fixed", mean=statistics[modality].mean, std=statistics[modality].std)
                for modality in self.dataset.modalities
            }
        self.plan_why["normalisation"] = (
            "MR intensities have no unit: each modality of each study is brought to mean 0 and deviation 1 "
            + ("inside the brain." if self.fingerprint.brain_is_bounded else "over the image.")
        )
        return {modality: Normalisation(method="zscore") for modality in self.dataset.modalities}
