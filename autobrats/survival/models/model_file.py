"""A survival model in a folder: survival.json, which people can read, and model.skops with what scikit-learn fitted."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from autobrats import __version__
from autobrats.errors import UserError
from autobrats.files import read_model, write_bytes, write_json
from autobrats.survival.models.calibration import ClassCalibration, RiskCalibration
from autobrats.survival.models.conformal import DaysInterval
from autobrats.survival.models.fitting import FittedModel
from autobrats.survival.models.preparation import Preparation
from autobrats.survival.models.spec import ModelSpec
from autobrats.survival.models.survival_model import Member, SurvivalModel

DESCRIPTION_FILE = "survival.json"
ESTIMATORS_FILE = "model.skops"
LIBRARIES = ("numpy", "scikit-learn", "scikit-survival", "skops")
TRUSTED_TYPES = (
    "autobrats.survival.models.aft.AcceleratedFailureTime",
    "autobrats.survival.models.cox.CoxRegression",
    "autobrats.survival.models.preparation.NormalScores",
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sksurv.ensemble.boosting.GradientBoostingSurvivalAnalysis",
    "sksurv.ensemble.forest.RandomSurvivalForest",
    "sksurv.ensemble.survival_loss.CoxPH",
    "sksurv.functions.StepFunction",
    "sksurv.linear_model.coxnet.CoxnetSurvivalAnalysis",
    "sksurv.linear_model.coxph.BreslowEstimator",
    "sksurv.tree.tree.SurvivalTree",
)
"""What a model is made of beside what skops trusts by itself: the estimators of scikit-learn, and arrays."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MemberDescription(_Strict):
    """A fitted model without its estimators; see :class:`~autobrats.survival.models.fitting.FittedModel`."""

    summary: str
    """For people."""
    spec: ModelSpec
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    typical_log_days: float
    log_days_range: tuple[float, float]
    risk_mean: float
    risk_spread: float


class ModelDescription(_Strict):
    """survival.json.

    Attributes:
        format: of the two files.
        versions: of the libraries that wrote them.
        objective: by which the model was chosen.
        patients, deaths: that it learnt from.
        members: that are averaged.
        reference: the training median by column.
        calibration, class_calibration, interval: see the classes.
        notes: for people.
        estimators_sha256: of model.skops, so that the files of two models are not mixed.
    """

    format: Literal[1] = 1
    versions: dict[str, str]
    objective: str
    patients: int
    deaths: int
    members: list[MemberDescription] = Field(min_length=1)
    reference: dict[str, float]
    calibration: RiskCalibration
    class_calibration: ClassCalibration | None
    interval: DaysInterval
    notes: list[str]
    estimators_sha256: str


def save_model(folder: Path, model: SurvivalModel) -> None:
    """Write a model into a folder, which is made if need be; survival.json comes last."""
    from skops.io import dumps

    estimators = dumps(
        [
            {
                "scaler": member.fitted.preparation.scaler,
                "imputer": member.fitted.preparation.imputer,
                "estimator": member.fitted.estimator,
                "classifier": member.fitted.classifier,
            }
            for member in model.members
        ],
        compression=zipfile.ZIP_DEFLATED,
    )
    description = ModelDescription(
        versions={"autobrats": __version__} | {name: version(name) for name in LIBRARIES},
        objective=model.objective,
        patients=model.patients,
        deaths=model.deaths,
        members=[_description(member) for member in model.members],
        reference=model.reference,
        calibration=model.calibration,
        class_calibration=model.class_calibration,
        interval=model.interval,
        notes=list(model.notes),
        estimators_sha256=hashlib.sha256(estimators).hexdigest(),
    )
    write_bytes(Path(folder) / ESTIMATORS_FILE, estimators)
    write_json(Path(folder) / DESCRIPTION_FILE, description)


def load_model(folder: Path) -> SurvivalModel:
    """Read a model.

    Raises:
        UserError: if a file is missing, damaged, of another model, or holds anything but estimators.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION_FILE).is_file():
        raise UserError(
            f"{folder} holds no survival model ({DESCRIPTION_FILE} is missing); run autobrats_survival_train first."
        )
    description = read_model(folder / DESCRIPTION_FILE, ModelDescription)
    parts = _load_estimators(folder / ESTIMATORS_FILE, description)
    return SurvivalModel(
        members=tuple(_member(member, part) for member, part in zip(description.members, parts)),
        calibration=description.calibration,
        class_calibration=description.class_calibration,
        interval=description.interval,
        reference=description.reference,
        objective=description.objective,
        patients=description.patients,
        deaths=description.deaths,
        notes=tuple(description.notes),
    )


def _description(member: Member) -> MemberDescription:
    fitted = member.fitted
    return MemberDescription(
        summary=fitted.spec.describe(),
        spec=fitted.spec,
        columns=fitted.preparation.columns,
        inputs=fitted.preparation.inputs,
        typical_log_days=fitted.typical_log_days,
        log_days_range=fitted.log_days_range,
        risk_mean=member.risk_mean,
        risk_spread=member.risk_spread,
    )


def _member(description: MemberDescription, part: dict[str, Any]) -> Member:
    preparation = Preparation(description.columns, description.inputs, part["scaler"], part["imputer"])
    fitted = FittedModel(
        description.spec,
        preparation,
        part["estimator"],
        part["classifier"],
        description.typical_log_days,
        description.log_days_range,
    )
    return Member(fitted, description.risk_mean, description.risk_spread)


def _load_estimators(path: Path, description: ModelDescription) -> Sequence[dict[str, Any]]:
    """What skops finds in the file, if that is nothing but :data:`TRUSTED_TYPES` and it is the file that was described."""
    from skops.io import get_untrusted_types, loads

    if not path.is_file():
        raise UserError(f"{path} does not exist; copy the whole folder of the survival model.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != description.estimators_sha256:
        raise UserError(
            f"{path} is damaged, or of another model than {DESCRIPTION_FILE} beside it; copy the folder again."
        )
    try:
        foreign = sorted(set(get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
        parts = [] if foreign else loads(content, trusted=list(TRUSTED_TYPES))
    except Exception as error:  # what a file that other versions wrote can raise is not listed anywhere
        wrote = ", ".join(f"{name} {number}" for name, number in description.versions.items())
        raise UserError(
            f"{path} cannot be read with the versions installed here ({error}); it was written by {wrote}."
        ) from error
    if foreign:
        raise UserError(
            f"{path} holds {foreign[0]}, which no survival model of autobrats is made of; it was not loaded."
        )
    if len(parts) != len(description.members):
        raise UserError(
            f"{path} holds {len(parts)} models, and {DESCRIPTION_FILE} describes {len(description.members)}."
        )
    return parts
