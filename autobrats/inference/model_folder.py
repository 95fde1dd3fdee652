"""The model folder: everything that prediction needs, complete by itself, and checked when it is read.

``best_config.json`` says what is in it, ``plan.json`` how studies are prepared and networks are built,
``weights/CONFIGURATION_fold_K.safetensors`` holds a network each, ``metrics.json`` what the model scored out of fold.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autobrats import __version__
from autobrats.errors import UserError
from autobrats.files import file_sha256, read_json, read_model, write_json
from autobrats.inference.combination import Combination
from autobrats.plan import Part, Plan, Probability

BEST_CONFIG = "best_config.json"
PLAN = "plan.json"
METRICS = "metrics.json"
FORMAT_VERSION = 1


class Member(BaseModel):
    """One network of the ensemble."""

    model_config = ConfigDict(extra="forbid")

    configuration: str
    fold: int | Literal["all"]
    weights: str
    """File relative to the model folder."""
    sha256: str
    weight: float = Field(default=1.0, gt=0)
    """Share in the average, relative to the other members."""

    @field_validator("weights")
    @classmethod
    def _lies_in_the_folder(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value:
            raise ValueError("must be a file inside the model folder")
        return value


class Cost(BaseModel):
    """What predicting one study took."""

    model_config = ConfigDict(extra="forbid")

    seconds_per_case: float
    memory_gib: float
    device: str


class BestConfig(BaseModel):
    """best_config.json."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    autobrats_version: str
    dataset: str
    members: list[Member] = Field(min_length=1)
    threshold: Probability = 0.5
    """A voxel belongs to a region if its probability is above this."""
    combination: Combination = "mean"
    """Of the configurations; the members of one are averaged."""
    postprocessing: list[Part] = Field(default_factory=list)
    """Steps after those of each configuration, on the combination of all members on the study's own grid."""
    expected: dict[str, Any] = Field(default_factory=dict)
    """Nested scores with intervals: what to expect of new studies like the training's."""
    best_single: dict[str, Any] | None = None
    """The best configuration by itself, and its out-of-fold mean Dice."""
    tuning: str | None = None
    """What the tuning of the postprocessing found, in a sentence."""
    cost: Cost | None = None
    """Of predicting a study, as measured where the model was made."""
    missing_modality_dice: dict[str, float] | None = None
    """Mean out-of-fold Dice over the regions when that modality is missing."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """Of plan.json, metrics.json, bf16.json and int8.json, those that there are."""


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that was read and found whole."""

    path: Path
    best_config: BestConfig
    plan: Plan

    def weights(self, member: Member) -> Path:
        """The file of a member's weights."""
        return self.path / member.weights


@dataclass(frozen=True)
class TrainedNetwork:
    """A network to put into a model folder: where its weights lie now."""

    configuration: str
    fold: int | Literal["all"]
    weights: Path
    weight: float = 1.0


def write_model_folder(
    folder: Path,
    plan: Plan,
    networks: Sequence[TrainedNetwork],
    *,
    expected: Mapping[str, Any] | None = None,
    metrics: BaseModel | Mapping[str, Any] | None = None,
    missing_modality_dice: Mapping[str, float] | None = None,
    threshold: float = 0.5,
    postprocessing: Sequence[Part] = (),
    combination: Combination = "mean",
    best_single: Mapping[str, Any] | None = None,
    tuning: str | None = None,
    cost: Cost | None = None,
) -> ModelFolder:
    """Write a model folder beside ``folder`` and swap it in when it is whole.

    An older model folder in that place is replaced.

    Raises:
        UserError: if ``folder`` holds something else, or a file of weights does not exist.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not (folder / BEST_CONFIG).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"{folder} is not a model folder and is not replaced; choose another place.")
    with swapped_in(folder) as new:
        (new / "weights").mkdir()
        write_json(new / PLAN, plan)
        if metrics is not None:
            write_json(new / METRICS, metrics if isinstance(metrics, BaseModel) else dict(metrics))
        members = []
        for network in networks:
            name = f"weights/{network.configuration}_fold_{network.fold}.safetensors"
            if not network.weights.is_file():
                raise UserError(f"{network.weights} does not exist; train fold {network.fold} again.")
            shutil.copyfile(network.weights, new / name)
            members.append(
                Member(
                    configuration=network.configuration,
                    fold=network.fold,
                    weights=name,
                    sha256=file_sha256(new / name),
                    weight=network.weight,
                )
            )
        best_config = BestConfig(
            autobrats_version=__version__,
            dataset=plan.dataset,
            members=members,
            threshold=threshold,
            combination=combination,
            postprocessing=list(postprocessing),
            best_single=None if best_single is None else dict(best_single),
            tuning=tuning,
            cost=cost,
            expected=dict(expected or {}),
            missing_modality_dice=None if missing_modality_dice is None else dict(missing_modality_dice),
            sha256={name: file_sha256(new / name) for name in (PLAN, METRICS) if (new / name).is_file()},
        )
        write_json(new / BEST_CONFIG, best_config)
    return ModelFolder(folder, best_config, plan)


@contextmanager
def swapped_in(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``, which takes its place when the block ends well; else nothing is left of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{token}.{state}") for state in ("new", "old"))
    try:
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def read_best_config(folder: Path) -> BestConfig:
    """Read best_config.json of a model folder.

    Raises:
        UserError: if it is not there, not ours, or of a newer format.
    """
    file = folder / BEST_CONFIG
    if not file.is_file():
        raise UserError(
            f"{folder} is not a model folder: it has no {BEST_CONFIG}; autobrats_find_best_config writes one."
        )
    content = read_json(file)
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise UserError(f"{file} was not written by autobrats: it has no format_version.")
    if version > FORMAT_VERSION:
        writer = content.get("autobrats_version", "a newer version")
        raise UserError(
            f"{file} has format {version}, and this autobrats ({__version__}) reads {FORMAT_VERSION}: "
            f"update autobrats to {writer} or newer."
        )
    return read_model(file, BestConfig)


def read_model_folder(folder: Path) -> ModelFolder:
    """Read a model folder and check that every file is there and unchanged.

    Raises:
        UserError: if it is not a model folder, of a newer format, incomplete or changed.
    """
    folder = Path(folder)
    best_config = read_best_config(folder)
    for name, sha256 in [*best_config.sha256.items(), *((m.weights, m.sha256) for m in best_config.members)]:
        if not (folder / name).is_file():
            raise UserError(f"The model folder {folder} is incomplete: {name} is missing; copy the whole folder.")
        if file_sha256(folder / name) != sha256:
            raise UserError(
                f"{folder / name} is not the file that belongs to this model: "
                "copy the model again, or write it anew with autobrats_find_best_config."
            )
    plan = read_model(folder / PLAN, Plan)
    for member in best_config.members:
        if member.configuration not in plan.configurations:
            raise UserError(
                f"{folder / PLAN} has no configuration '{member.configuration}', which {BEST_CONFIG} names."
            )
    return ModelFolder(folder, best_config, plan)
