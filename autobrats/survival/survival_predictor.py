"""A saved survival model and how to predict with it, from Python and from the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobrats.errors import UserError
from autobrats.evaluation.survival.prediction_file import write_predictions
from autobrats.files import write_csv
from autobrats.survival.cohort_building import build_features
from autobrats.survival.feature_table import FeatureTable, family_of
from autobrats.survival.models.explanation import PatientExplanation
from autobrats.survival.models.model_file import load_model
from autobrats.survival.models.survival_model import SurvivalModel, SurvivalPrediction
from autobrats.survival.survival_inputs import Sources, SurvivalInputs, clinical_of, read_inputs
from autobrats.survival.training_files import FeatureSource, read_feature_source

_CURVE_STEP_DAYS, _LAST_CURVE_DAY = 30, 1800


@dataclass(frozen=True)
class PredictedSurvival:
    """Predictions of patients, with what can be written of them.

    Attributes:
        predictions: one a patient.
        warnings: sentences on values that were not known.
    """

    predictions: list[SurvivalPrediction]
    warnings: list[str]
    _model: SurvivalModel
    _table: FeatureTable

    def write(self, path: Path) -> None:
        """Write survival.csv."""
        write_predictions(path, self._table.patients, self._model.predictions(self._table))

    def write_curves(self, path: Path) -> None:
        """Write the probability to live longer than 30, 60, ... days, a row a patient."""
        days = np.arange(_CURVE_STEP_DAYS, _LAST_CURVE_DAY + 1, _CURVE_STEP_DAYS)
        curves = self._model.curves(self._table, days)
        rows = [[name, *(f"{value:.4f}" for value in curve)] for name, curve in zip(self._table.patients, curves)]
        write_csv(path, ["patient", *map(str, days)], rows)

    def explanations(self) -> list[PatientExplanation]:
        """Which features moved each patient's risk away from that of a patient with the training medians."""
        return self._model.explain(self._table)

    def write_explanations(self, path: Path) -> None:
        """Write :meth:`explanations`, a row a patient and feature, the strongest first."""
        rows = [
            [it.patient, part.feature, _figure(part.value), _figure(part.reference), f"{part.effect:+.6g}"]
            for it in self.explanations()
            for part in it.contributions
        ]
        write_csv(path, ["patient", "feature", "value", "training_median", "effect_on_risk"], rows)


@dataclass(frozen=True)
class SurvivalPredictor:
    """A survival model, and how the features that it reads are made.

    Example:
        ``SurvivalPredictor.load(folder).predict_sources(Sources(features=table, clinical=ages)).write(Path("survival.csv"))``

    Attributes:
        model: as it was saved.
        source: how its features were made.
    """

    model: SurvivalModel
    source: FeatureSource

    @classmethod
    def load(cls, folder: Path) -> SurvivalPredictor:
        """Read what autobrats_survival_train wrote.

        Raises:
            UserError: if the folder holds no survival model, or it is damaged.
        """
        return cls(load_model(folder), read_feature_source(folder))

    def check(self, sources: Sources, patients: Mapping[str, str]) -> None:
        """Look, before any work, whether cases can be predicted of which there are no segmentations yet.

        Args:
            sources: of the clinical data.
            patients: the patient of each case.

        Raises:
            UserError: if the clinical data cannot be read or is of none of the patients, or the model needs features that
                images do not give.
        """
        self._refuse_images()
        names = tuple(patients)
        nothing = FeatureTable(names, (), np.empty((len(names), 0)))
        build_features(nothing, clinical_of(sources).records, patients=patients)

    def read(
        self,
        sources: Sources,
        *,
        cache: Path | None = None,
        workers: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> SurvivalInputs:
        """Read patients; of images, only the features that the model needs are computed.

        Args:
            sources: where from.
            cache: a folder for computed features.
            workers: processes for them.
            on_progress: called with (cases done, cases in all).

        Raises:
            UserError: if a file cannot be read, nothing is given, or the model needs features that images do not give.
        """
        if sources.features is None:
            self._refuse_images()
        return read_inputs(
            sources,
            cache=cache,
            wanted=self.model.features,
            settings=self.source.radiomics,
            workers=workers,
            on_progress=on_progress,
            check=lambda inputs: build_features(inputs.features, inputs.clinical.records, patients=inputs.patients),
        )

    def predict(self, inputs: SurvivalInputs) -> PredictedSurvival:
        """Predict the patients that were read.

        Raises:
            UserError: if the model needs a column that they lack, or nobody is left.
        """
        features = inputs.features
        if features is None and not inputs.clinical.records:
            raise UserError("There are no patients: give studies, a table of features, or a clinical table.")
        table = build_features(features, inputs.clinical.records, patients=inputs.patients)
        self._refuse_lack([name for name in self.model.features if name not in table.names])
        table = table.select(self.model.features)
        if not table.patients:
            raise UserError("There is no patient to predict.")
        return PredictedSurvival(self.model.predict(table), self.model.missing_values(table), self.model, table)

    def predict_sources(self, sources: Sources) -> PredictedSurvival:
        """:meth:`read` and :meth:`predict`."""
        return self.predict(self.read(sources))

    def _refuse_images(self) -> None:
        if self.source.source == "table":
            self._refuse_lack([name for name in self.model.features if family_of(name) != "clinical"])

    def _refuse_lack(self, missing: Sequence[str]) -> None:
        """UserError if the model needs columns that are not there."""
        if not missing:
            return
        lacking = (
            f"{missing[0]}, which is" if len(missing) == 1 else f"{missing[0]} and {len(missing) - 1} more, which are"
        )
        wanted = "a table like the one that it was trained with (--features)"
        if self.source.source == "images":
            wanted = "segmentations (-s) and, for intensities, studies (-i), or a table of all features (--features)"
        raise UserError(f"The model reads {lacking} not given; give {wanted}.")


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
