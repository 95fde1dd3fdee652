"""fingerprint.json: what was measured of the dataset and of the machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from autobrats.devices import Machine
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.planning.speed import StepSpeed


class FingerprintFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid")

    dataset: DatasetFingerprint
    machine: Machine
    training_step: StepSpeed
