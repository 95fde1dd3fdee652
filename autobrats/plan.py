"""The plan's schema: everything that was decided, in a form that a person can read and edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from autobrats.dataset.conventions import Convention

Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""Voxels along (z, y, x)."""
Spacing = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
"""Millimetres along (z, y, x)."""
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A part of the plan: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Part(Strict):
    """A part of the code by its registered name, and its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Normalisation(Strict):
    """How one modality's intensities are made comparable.

    ``zscore`` by the mean and deviation of the study's brain; ``fixed`` by a mean and deviation of the dataset, for
    images that somebody normalised already; ``minmax`` to 0..1 inside the brain.
    """

    method: Literal["zscore", "fixed", "minmax", "none"] = "zscore"
    mean: float | None = None
    std: float | None = Field(default=None, gt=0)
    """Of the dataset; needed by ``fixed``, not used otherwise."""
    clip_percentiles: tuple[float, float] | None = None
    """Intensities are clipped to these percentiles of the brain first."""


class Preprocessing(Strict):
    """From a study on disk to the stored array."""

    crop_to_brain: bool
    """Crop to the bounding box of the non-zero voxels."""
    spacing_mm: Spacing
    normalisation: dict[str, Normalisation]
    """By modality."""


class PatchBatch(Strict):
    """An entry of the pool: a patch size and the batch size that fits the memory with it."""

    patch_size: Size
    batch_size: int = Field(gt=0)
    memory_gib: float | None = None
    """The estimated peak of a training step."""


class Augmentation(Strict):
    """Probabilities and ranges of the training augmentation; a probability of 0 turns a transform off."""

    mirror_axes: list[Literal[0, 1, 2]] = [0, 1, 2]
    rotation_probability: Probability = 0.2
    rotation_degrees: float = 30.0
    scaling_probability: Probability = 0.2
    scaling_range: tuple[float, float] = (0.7, 1.4)
    noise_probability: Probability = 0.1
    noise_std: tuple[float, float] = (0.0, 0.3)
    blur_probability: Probability = 0.1
    blur_sigma_voxels: tuple[float, float] = (0.5, 1.0)
    brightness_probability: Probability = 0.15
    brightness_range: tuple[float, float] = (0.75, 1.25)
    shift_probability: Probability = 0.0
    shift_range: tuple[float, float] = (-0.1, 0.1)
    contrast_probability: Probability = 0.15
    contrast_range: tuple[float, float] = (0.75, 1.25)
    gamma_probability: Probability = 0.15
    gamma_range: tuple[float, float] = (0.7, 1.5)
    low_resolution_probability: Probability = 0.1
    low_resolution_zoom: tuple[float, float] = (0.5, 1.0)
    modality_dropout_probability: Probability = 0.1
    """The probability that one modality of a sample is set to zero, as if it were missing."""


class Training(Strict):
    """How long and how the weights are fitted."""

    iterations: int = Field(gt=0)
    iterations_per_epoch: int = Field(gt=0)
    max_hours: float | None = Field(default=None, gt=0)
    """The wall-clock budget of one fold, validation included; the schedule is shortened to keep it."""
    gradient_clip_norm: float | None = Field(default=12.0, gt=0)
    average_decay: float | None = Field(default=None, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is validated and kept."""
    mixed_precision: bool = True
    """bfloat16 autocast on devices with units for it: NVIDIA's cards from Ampere on, CPUs with AMX."""
    quick_validation_cases: int = Field(default=12, ge=0)
    """So many validation cases are scored, one central patch each, at the end of every epoch."""


class Inference(Strict):
    """The sliding window."""

    patch_size: Size
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror_axes: list[Literal[0, 1, 2]] = [0, 1, 2]
    """Axes mirrored at test time; n axes cost 2^n passes."""
    mirror_average: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over mirrorings, folds and windows."""
    batch_size: int = Field(default=1, gt=0)


def usual_hooks() -> list[Part]:
    """The hooks that every configuration has unless its plan says otherwise."""
    return [Part(name=name) for name in ("quick_validation", "periodic_checkpoint", "progress")]


class SemiSupervision(Strict):
    """Multi-view semi-supervised training (Zhao et al., 2019, algorithm 1), used when unlabelled studies are given."""

    views: list[list[Literal[0, 1, 2]]] = Field(default=[[], [0], [1], [2]], min_length=1)
    """One student a view; a view mirrors all of its student's data along these axes."""
    unlabelled_weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The alpha of algorithm 1: how often an unlabelled study is drawn, relative to a labelled one."""
    most_rounds: int = Field(default=3, gt=0)
    stable_dice: Probability = 0.98
    """The rounds end when the pseudo-labels of two rounds agree by this mean Dice."""


class Configuration(Strict):
    """A named, trainable entry of the plan."""

    recipe: str
    as_published: bool = False
    """Whether sizes and schedule are the paper's, whatever the machine."""
    modalities: list[str]
    """The channels that the network sees, in order; a subset of the plan's modalities."""
    intensities: Literal["as_stored", "unit_range"] = "as_stored"
    """``as_stored``: normalised as ``preprocessing`` says; ``unit_range``: brought to 0..1 inside the brain after that."""
    output: Literal["regions", "labels"]
    """``regions``: a sigmoid for each region; ``labels``: a softmax over background and labels."""
    pool: list[PatchBatch] = Field(min_length=1)
    """One entry is drawn for every iteration."""
    network: Part
    loss: Part
    region_weights: dict[str, float]
    """Weight of each region (or label, for ``output = labels``) in the loss."""
    sampler: Part
    augmentation: Augmentation
    optimiser: Part
    schedule: Part
    trainer: Part
    hooks: list[Part] = Field(default_factory=usual_hooks)
    """What happens beside the training steps, in this order."""
    validation: Part = Part(name="whole_volumes")
    """How the held-back cases are scored in the end."""
    training: Training
    semi_supervision: SemiSupervision = SemiSupervision()
    inference: Inference
    postprocessing: list[Part] = Field(default_factory=list)
    """Steps that change the predicted probabilities of a whole study, in this order."""
    why: dict[str, str] = Field(default_factory=dict)
    """A sentence of why by key."""


class Plan(Strict):
    """plan.json."""

    format_version: Literal[1] = 1
    dataset: str
    modalities: list[str]
    convention: Convention
    convention_of_names: str | None = None
    """Which convention the cases' names belong to, if they all belong to one, whatever their masks say."""
    preprocessing: Preprocessing
    folds: int = Field(default=5, ge=0)
    seed: int = 0
    configurations: dict[str, Configuration]
    why: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self) -> Plan:
        _check_names("preprocessing.normalisation", self.preprocessing.normalisation, self.modalities)
        for name, configuration in self.configurations.items():
            channels = ["background", *self.convention.labels] if configuration.output == "labels" else []
            _check_names(f"configurations.{name}.modalities", configuration.modalities, self.modalities)
            _check_names(
                f"configurations.{name}.region_weights",
                configuration.region_weights,
                channels or list(self.convention.regions),
            )
        return self


def _check_names(key: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{key} names '{name}'; known: {', '.join(known)}")
