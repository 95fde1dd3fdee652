"""The survival model that is saved and predicts: fitted members, and what their out-of-fold predictions taught."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autobrats.evaluation.survival.portal import CLASSES, SurvivalClass, survival_classes
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.calibration import ClassCalibration, RiskCalibration
from autobrats.survival.models.conformal import DaysInterval
from autobrats.survival.models.explanation import PatientExplanation, explain_patients
from autobrats.survival.models.fitting import FittedModel


@dataclass(frozen=True)
class OutOfFold:
    """What models of one spec said of patients that they had not seen, in the order of a cohort.

    Attributes:
        risk: shape (patient,).
        log_days: shape (patient,); None if the spec predicts no time.
        class_scores: shape (patient, 3); None if the spec has no classifier.
    """

    risk: np.ndarray
    log_days: np.ndarray | None = None
    class_scores: np.ndarray | None = None


@dataclass(frozen=True)
class Member:
    """One of the models that are averaged.

    Attributes:
        fitted: to all patients.
        risk_mean, risk_spread: of its out-of-fold risks, by which risks of different scales are made comparable.
    """

    fitted: FittedModel
    risk_mean: float
    risk_spread: float

    def standardised(self, risk: np.ndarray) -> np.ndarray:
        """The risk in deviations from the mean, shape (patient,)."""
        return (risk - self.risk_mean) / self.risk_spread


@dataclass(frozen=True)
class SurvivalPrediction:
    """Of one patient; a row of survival.csv.

    Attributes:
        patient: of the table.
        days: the median of the survival that is expected.
        days_low, days_high: ends of the prediction interval; infinity where there is no upper one.
        survival_class: short, mid or long.
        p_short, p_mid, p_long: probabilities of the classes; they add up to 1.
        risk: higher means sooner death; its scale is that of the model.
    """

    patient: str
    days: float
    days_low: float
    days_high: float
    survival_class: SurvivalClass
    p_short: float
    p_mid: float
    p_long: float
    risk: float


@dataclass(frozen=True)
class SurvivalModel:
    """An average of fitted models, calibrated.

    Attributes:
        members: one or more.
        calibration: from the averaged risk to survival curves.
        class_calibration: of the averaged class scores, where the class comes from classifiers.
        interval: around the days.
        reference: the training median by column, for explanations.
        objective: by which the model was chosen.
        patients, deaths: that it learnt from.
        notes: for people.
    """

    members: tuple[Member, ...]
    calibration: RiskCalibration
    class_calibration: ClassCalibration | None
    interval: DaysInterval
    reference: dict[str, float]
    objective: str
    patients: int
    deaths: int
    notes: tuple[str, ...] = ()

    @classmethod
    def assemble(
        cls,
        fitted: Sequence[FittedModel],
        out_of_fold: Sequence[OutOfFold],
        cohort: Cohort,
        *,
        objective: str,
        notes: Sequence[str] = (),
        coverage: float = 0.9,
    ) -> SurvivalModel:
        """Calibrate models on what their likes said of patients whom they had not seen.

        Args:
            fitted: to the whole cohort.
            out_of_fold: of the same specs, in the same order.
            cohort: the training patients.
            objective: by which the specs were chosen.
            coverage: of the interval.

        Raises:
            ValueError: if there are no models, not as many out-of-fold predictions, or not for all patients.
        """
        if not fitted or len(fitted) != len(out_of_fold):
            raise ValueError(
                f"{len(fitted)} models need as many out-of-fold predictions; there are {len(out_of_fold)}."
            )
        if any(predicted.risk.shape != (len(cohort),) for predicted in out_of_fold):
            raise ValueError(f"Out-of-fold predictions are needed for each of the {len(cohort)} patients.")
        members = tuple(
            Member(model, float(predicted.risk.mean()), risk_spread(predicted.risk))
            for model, predicted in zip(fitted, out_of_fold)
        )
        risk = np.mean([member.standardised(predicted.risk) for member, predicted in zip(members, out_of_fold)], axis=0)
        calibration = RiskCalibration.fit(risk, cohort.days, cohort.died)
        days = _days([predicted.log_days for predicted in out_of_fold], calibration, risk)
        scores = mean_of_members([predicted.class_scores for predicted in out_of_fold])
        columns = dict.fromkeys(name for model in fitted for name in model.features)
        table = cohort.features.select(tuple(columns))
        return cls(
            members=members,
            calibration=calibration,
            class_calibration=None if scores is None else ClassCalibration.fit(scores, cohort.days, cohort.died),
            interval=DaysInterval.fit(np.log(days), cohort.days, cohort.died, coverage),
            reference=dict(zip(table.names, np.nanmedian(table.values, axis=0).tolist())) if columns else {},
            objective=objective,
            patients=len(cohort),
            deaths=int(cohort.died.sum()),
            notes=tuple(notes),
        )

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the table that the model reads."""
        return tuple(self.reference)

    def risk(self, table: FeatureTable) -> np.ndarray:
        """The mean of the members' standardised risks, shape (patient,); higher means sooner death.

        Raises:
            UserError: if a column is missing from the table.
        """
        return np.mean([member.standardised(member.fitted.risk(table)) for member in self.members], axis=0)

    def days(self, table: FeatureTable) -> np.ndarray:
        """Predicted days, shape (patient,).

        The geometric mean of the members' predictions if all predict days, else the median of the calibrated curve.

        Raises:
            UserError: if a column is missing from the table.
        """
        return _days([member.fitted.log_days(table) for member in self.members], self.calibration, self.risk(table))

    def class_probabilities(self, table: FeatureTable) -> np.ndarray:
        """Of short, mid and long survival, shape (patient, 3): of the classifiers if there are any, else of the curves.

        Raises:
            UserError: if a column is missing from the table.
        """
        if self.class_calibration is None:
            return self.calibration.class_probabilities(self.risk(table))
        scores = mean_of_members([member.fitted.class_scores(table) for member in self.members])
        assert scores is not None
        return self.class_calibration.apply(scores)

    def curves(self, table: FeatureTable, times: np.ndarray) -> np.ndarray:
        """The probability of living longer than each of ``times`` (days), shape (patient, time).

        Raises:
            UserError: if a column is missing from the table.
        """
        return self.calibration.curves(self.risk(table), times)

    def predict(self, table: FeatureTable) -> list[SurvivalPrediction]:
        """:meth:`predictions`, one object a patient.

        Raises:
            UserError: if a column is missing from the table.
        """
        if not table.select(self.features).patients:
            return []
        told = self.predictions(table)
        columns = (told.days, told.days_low, told.days_high, told.classes, told.probabilities, told.risk)
        return [
            SurvivalPrediction(
                patient=patient,
                days=float(days),
                days_low=float(low),
                days_high=float(high),
                survival_class=CLASSES[place],
                p_short=float(probabilities[0]),
                p_mid=float(probabilities[1]),
                p_long=float(probabilities[2]),
                risk=float(risk),
            )
            for patient, days, low, high, place, probabilities, risk in zip(table.patients, *columns)  # type: ignore[arg-type]
        ]

    def predictions(self, table: FeatureTable, curve_days: np.ndarray | None = None) -> SurvivalPredictions:
        """What is predicted for the patients of a table.

        Missing values are filled in as in training; :meth:`missing_values` says where.

        Args:
            table: of the patients.
            curve_days: days of the survival curves; None for no curves.

        Raises:
            UserError: if a column is missing from the table.
        """
        table = table.select(self.features)
        days, risk = self.days(table), self.risk(table)
        low, high = self.interval.ends(np.log(days))
        probabilities = self.class_probabilities(table)
        from_days = self.members[0].fitted.spec.class_output == "days"
        return SurvivalPredictions(
            days=days,
            risk=risk,
            days_low=low,
            days_high=high,
            classes=survival_classes(days) if from_days else probabilities.argmax(axis=1),
            probabilities=probabilities,
            curve_days=curve_days,
            curves=None if curve_days is None else self.calibration.curves(risk, curve_days),
        )

    def explain(self, table: FeatureTable, *, seed: int = 0) -> list[PatientExplanation]:
        """Which features moved each patient's risk away from that of the median patient.

        Raises:
            UserError: if a column is missing from the table.
        """
        return explain_patients(self, table, self.reference, seed=seed)

    def missing_values(self, table: FeatureTable) -> list[str]:
        """Sentences on values that the table lacks and that a prediction fills in.

        Raises:
            UserError: if a column is missing from the table.
        """
        table = table.select(self.features)
        sentences = []
        for name, lacking in zip(table.names, ~np.isfinite(table.values).T):
            if number := int(lacking.sum()):
                first = table.patients[int(np.argmax(lacking))]
                who = first if number == 1 else f"{number} of {len(lacking)} patients (the first is {first})"
                sentences.append(f"{name} is not known for {who}; it was filled in as in training.")
        return sentences

    def describe(self) -> str:
        """For people: the members."""
        members = [member.fitted.spec.describe() for member in self.members]
        return members[0] if len(members) == 1 else f"the average of {'; '.join(members)}"


def _days(log_days: Sequence[np.ndarray | None], calibration: RiskCalibration, risk: np.ndarray) -> np.ndarray:
    """The members' geometric mean if all of them predict time, else those of the calibration."""
    mean = mean_of_members(log_days)
    return calibration.days(risk) if mean is None else np.exp(mean)


def mean_of_members(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Of the members' arrays; None if one has none."""
    present = [array for array in arrays if array is not None]
    return np.mean(present, axis=0) if len(present) == len(arrays) else None


def risk_spread(risk: np.ndarray) -> float:
    """The standard deviation of risks; 1 where they are all the same."""
    spread = float(risk.std())
    return spread if spread > 1e-12 * max(1.0, math.fabs(float(risk.mean()))) else 1.0
