"""The decisions that all configurations of a plan share: folds and preprocessing. They need no torch."""

from __future__ import annotations

from autobrats.dataset.cases import Dataset
from autobrats.dataset.convention_detection import conventions_of_names
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.plan import Normalisation, Plan, Preprocessing


class DatasetPlanner:
    """Decides what depends on the dataset alone; each decision leaves its reason in ``plan_why``.

    Args:
        dataset: the cases.
        fingerprint: what was measured of them.
        seed: of everything.
        n_folds: of the user's own folds; None to decide.
    """

    def __init__(
        self, dataset: Dataset, fingerprint: DatasetFingerprint, *, seed: int = 0, n_folds: int | None = None
    ) -> None:
        self.dataset, self.fingerprint = dataset, fingerprint
        self.seed, self.n_folds = seed, n_folds
        self.plan_why: dict[str, str] = {}

    def plan(self) -> Plan:
        """The plan, without a configuration yet."""
        return Plan(
            dataset=self.dataset.name,
            modalities=self.dataset.modalities,
            convention=self.dataset.convention,
            convention_of_names=self._convention_of_names(),
            folds=self.decide_folds(),
            preprocessing=self.decide_preprocessing(),
            seed=self.seed,
            configurations={},
            why=self.plan_why,
        )

    def decide_folds(self) -> int:
        """The user's own; else five, or one a patient where there are fewer; none for one patient."""
        if self.n_folds is not None:
            self.plan_why["folds"] = f"{self.n_folds} fold{'s' * (self.n_folds != 1)}, as you divide the cases."
            return self.n_folds
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

    def _convention_of_names(self) -> str | None:
        proposed = conventions_of_names([case.name for case in self.dataset.cases])
        return next(iter(proposed)) if len(proposed) == 1 else None
