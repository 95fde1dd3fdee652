"""bf16.json and int8.json of a model folder: what the check on held-back cases found, and the ranges for 8 bits."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError
from autobrats.files import file_sha256, read_model, write_json
from autobrats.inference.int8 import Range
from autobrats.inference.model_folder import BEST_CONFIG, ModelFolder
from autobrats.inference.precision import IN_WORDS, RoundedPrecision

FILES: dict[RoundedPrecision, str] = {precision: f"{precision}.json" for precision in IN_WORDS}
MOST_LOST = 0.002
"""Mean Dice that rounding may cost: the 95 % interval of the difference must lie above minus this."""


class RoundingCheck(BaseModel):
    """Held-back cases, each predicted by networks that did not train on its patient, in float32 and rounded.

    Attributes:
        predictions: of a case by a network.
        patients: whose they are.
        dice_float32, dice_rounded: mean by region.
        difference: of the mean Dice over the regions, rounded minus float32.
        low, high: its 95 % interval by patient; None for one patient.
        seconds_float32, seconds_rounded: median of predicting a study with one network, on the machine of the check.
        processor: of that machine.
    """

    model_config = ConfigDict(extra="forbid")

    predictions: int
    patients: int
    dice_float32: dict[str, float]
    dice_rounded: dict[str, float]
    difference: float
    low: float | None
    high: float | None
    seconds_float32: float
    seconds_rounded: float
    processor: str

    @property
    def passed(self) -> bool:
        """Whether Dice is unchanged, as far as these cases can show."""
        return self.low is not None and self.low > -MOST_LOST


class Rounding(BaseModel):
    """The file of one precision.

    Attributes:
        ranges: by the sha256 of a member's weights: of the input of every convolution that is rounded to 8 bits, by
            :func:`~autobrats.inference.int8.weights_key` of the convolution; bfloat16 needs none.
        check: what rounding changes.
    """

    model_config = ConfigDict(extra="forbid")

    ranges: dict[str, dict[str, Range]]
    check: RoundingCheck


def write_rounding(model: ModelFolder, precision: RoundedPrecision, rounding: Rounding) -> ModelFolder:
    """Make it a file of the model folder, in the place of an older one, and return the folder as it is then."""
    path, best_config = model.path / FILES[precision], model.path / BEST_CONFIG
    hashes = {name: sha256 for name, sha256 in model.best_config.sha256.items() if name != path.name}
    # In this order the folder is whole at every moment.
    write_json(best_config, model.best_config.model_copy(update={"sha256": hashes}))
    write_json(path, rounding)
    written = model.best_config.model_copy(update={"sha256": hashes | {path.name: file_sha256(path)}})
    write_json(best_config, written)
    return replace(model, best_config=written)


def read_rounding(model: ModelFolder, precision: RoundedPrecision) -> Rounding:
    """The model's ranges, if rounding was shown not to change its Dice.

    Raises:
        UserError: if the model was not checked, or did not pass.
    """
    path, words = model.path / FILES[precision], IN_WORDS[precision]
    if path.name not in model.best_config.sha256:
        raise UserError(
            f"The model {model.path} was not checked in {words}: run autobrats_quantise where its cases are, "
            f"or predict without --precision {precision}."
        )
    rounding = read_model(path, Rounding)
    if any(member.sha256 not in rounding.ranges for member in model.best_config.members):
        raise UserError(f"{path} belongs to other weights: run autobrats_quantise again.")
    if not rounding.check.passed:
        raise UserError(
            f"Predicting in {words} would change this model's masks: mean Dice {rounding.check.difference:+.4f} on "
            f"{rounding.check.patients} held-back patients ({path}); predict without --precision {precision}."
        )
    return rounding
