"""int8.json of a model folder: the ranges for 8-bit prediction, and what the check on held-back cases found."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError
from autobrats.files import file_sha256, read_model, write_json
from autobrats.inference.int8 import Range
from autobrats.inference.model_folder import BEST_CONFIG, ModelFolder

INT8 = "int8.json"
MOST_LOST = 0.002
"""Mean Dice that 8 bits may cost: the 95 % interval of the difference must lie above minus this."""


class Int8Check(BaseModel):
    """Held-back cases, each predicted by networks that did not train on its patient, in float32 and in 8 bits.

    Attributes:
        predictions: of a case by a network.
        patients: whose they are.
        dice_float32, dice_int8: mean by region.
        difference: of the mean Dice over the regions, 8 bits minus float32.
        low, high: its 95 % interval by patient; None for one patient.
        seconds_float32, seconds_int8: median of predicting a study with one network, on the machine of the check.
        processor: of that machine.
    """

    model_config = ConfigDict(extra="forbid")

    predictions: int
    patients: int
    dice_float32: dict[str, float]
    dice_int8: dict[str, float]
    difference: float
    low: float | None
    high: float | None
    seconds_float32: float
    seconds_int8: float
    processor: str

    @property
    def passed(self) -> bool:
        """Whether Dice is unchanged, as far as these cases can show."""
        return self.low is not None and self.low > -MOST_LOST


class Int8(BaseModel):
    """The file.

    Attributes:
        ranges: of the input of every convolution that is rounded, by the sha256 of a member's weights and by
            :func:`~autobrats.inference.int8.weights_key` of the convolution.
        check: what rounding changes.
    """

    model_config = ConfigDict(extra="forbid")

    ranges: dict[str, dict[str, Range]]
    check: Int8Check


def write_int8(model: ModelFolder, int8: Int8) -> Path:
    """Make it a file of the model folder, in the place of an older one, and return its path."""
    path, best_config = model.path / INT8, model.path / BEST_CONFIG
    hashes = {name: sha256 for name, sha256 in model.best_config.sha256.items() if name != INT8}
    # In this order the folder is whole at every moment.
    write_json(best_config, model.best_config.model_copy(update={"sha256": hashes}))
    write_json(path, int8)
    write_json(best_config, model.best_config.model_copy(update={"sha256": hashes | {INT8: file_sha256(path)}}))
    return path


def read_int8(model: ModelFolder) -> Int8:
    """The model's ranges, if 8 bits were shown not to change its Dice.

    Raises:
        UserError: if the model was not checked, or did not pass.
    """
    path = model.path / INT8
    if INT8 not in model.best_config.sha256:
        raise UserError(
            f"The model {model.path} was not checked in 8 bits: run autobrats_quantise where its cases are, "
            "or predict without --precision int8."
        )
    int8 = read_model(path, Int8)
    if any(member.sha256 not in int8.ranges for member in model.best_config.members):
        raise UserError(f"{path} belongs to other weights: run autobrats_quantise again.")
    if not int8.check.passed:
        raise UserError(
            f"8 bits would change this model's masks: mean Dice {int8.check.difference:+.4f} on "
            f"{int8.check.patients} held-back patients ({path}); predict without --precision int8."
        )
    return int8
