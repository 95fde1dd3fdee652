"""The planner: one method for every decision, each with a sentence of why."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from autobrats import registry
from autobrats.dataset.cases import Dataset
from autobrats.devices import Machine
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.building import build_network
from autobrats.networks.output import channel_names
from autobrats.plan import (
    Configuration,
    Inference,
    Normalisation,
    Part,
    PatchBatch,
    Plan,
    Preprocessing,
    Size,
    Training,
)
from autobrats.planning.memory import estimate_training_memory_gib
from autobrats.planning.network_sizes import LADDER, NetworkSize, network_part
from autobrats.planning.recipes import Recipe
from autobrats.planning.speed import measure_step_s

GPU_ITERATIONS = 250_000
"""Without a budget, a GPU trains as long as nnU-Net does by default: 1,000 epochs of 250 iterations."""
CPU_HOURS_A_FOLD = 1.0
"""Without a budget, a machine without a GPU trains an hour a fold."""
MEMORY_SHARE = 0.85
"""The share of the device's memory that the plan fills."""
VALIDATION_SHARE = 0.1
"""The share of a fold's time that is left to the final validation when the iterations are estimated."""
CPU_BATCH_VOXELS = 8 * 32**3
"""Voxels of a batch on a CPU: more make a step slower, not better, within hours."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked for.

    Attributes:
        max_hours: for all folds together; None if not given.
        epochs: None if not given.
        gpu_memory_gib: plan for a card of that size instead of this machine's device.
        device: to train on.
        seed: of everything.
    """

    device: torch.device
    max_hours: float | None = None
    epochs: int | None = None
    gpu_memory_gib: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Candidate:
    """A network, patch and batch, and how many iterations of it the budget buys."""

    size: NetworkSize
    network: Part
    entry: PatchBatch
    step_s: float | None
    iterations: int


class Planner:
    """Decides everything from the fingerprint, the machine and the wishes.

    A variant overrides the method of what it decides otherwise; each decision leaves its reason in ``why``.

    Args:
        dataset: the cases.
        fingerprint: what was measured of them.
        machine: what was found of the computer.
        wishes: what the user asked for.
        recipe: values of a method; the default's are those of plans/default.json.
        recipe_name: for the plan.
    """

    def __init__(
        self,
        dataset: Dataset,
        fingerprint: DatasetFingerprint,
        machine: Machine,
        wishes: Wishes,
        recipe: Recipe,
        recipe_name: str = "default",
    ) -> None:
        self.dataset, self.fingerprint, self.machine, self.wishes = dataset, fingerprint, machine, wishes
        self.recipe, self.recipe_name = recipe, recipe_name
        self.why: dict[str, str] = {}
        self.plan_why: dict[str, str] = {}
        self.device_type = "cuda" if wishes.gpu_memory_gib is not None else wishes.device.type

    def plan(self) -> Plan:
        """The plan with the configuration ``3d_fullres``."""
        self.folds = self.decide_folds()
        self.preprocessing = self.decide_preprocessing()
        return Plan(
            dataset=self.dataset.name,
            modalities=self.dataset.modalities,
            convention=self.dataset.convention,
            preprocessing=self.preprocessing,
            folds=self.folds,
            seed=self.wishes.seed,
            configurations={"3d_fullres": self.configuration()},
            why=self.plan_why,
        )

    def configuration(self) -> Configuration:
        """The configuration of the recipe, fitted to data, memory and budget."""
        self.why = dict(self.recipe.why)
        self.output = self.decide_output()
        chosen = self.decide_network_and_patch()
        training = self.decide_training(chosen)
        return Configuration(
            recipe=self.recipe_name,
            modalities=self.dataset.modalities,
            output=self.output,
            pool=[chosen.entry],
            network=chosen.network,
            loss=self.recipe.loss,
            region_weights=self.decide_region_weights(),
            sampler=self.recipe.sampler,
            augmentation=self.recipe.augmentation,
            optimiser=self.recipe.optimiser,
            schedule=self.recipe.schedule,
            trainer=self.recipe.trainer,
            training=training,
            inference=self.decide_inference(chosen),
            why=self.why,
        )

    # Of the dataset.

    def decide_folds(self) -> int:
        """Five, or one a patient where there are fewer; none for one patient."""
        patients = self.fingerprint.patients
        folds = min(5, patients) if patients > 1 else 0
        self.plan_why["folds"] = {
            5: f"Five folds by patient ({patients} patients), stratified by grade and by the regions present.",
            0: "There is one patient: no fold can be held back, only fold 'all' can be trained.",
        }.get(folds, f"Only {patients} patients: {folds} folds, each validating one patient.")
        return folds

    def decide_preprocessing(self) -> Preprocessing:
        """Cropping, spacing and normalisation."""
        bounded = self.fingerprint.brain_is_bounded
        self.plan_why["crop_to_brain"] = (
            "The images are zero outside the brain, which is cropped away."
            if bounded
            else "The images have no zero background, so nothing is cropped."
        )
        return Preprocessing(
            crop_to_brain=bounded, spacing_mm=self.decide_spacing(), normalisation=self.decide_normalisation()
        )

    def decide_spacing(self) -> tuple[float, float, float]:
        """The median spacing; along a coarse axis, if some studies are finer there, their 10th percentile."""
        z, y, x = self.fingerprint.median_spacing_mm
        shown = f"{z:.3g} x {y:.3g} x {x:.3g} mm (z, y, x)"
        if all(fp.spacing_mm == self.fingerprint.median_spacing_mm for fp in self.fingerprint.cases.values()):
            self.plan_why["spacing_mm"] = f"Every study has {shown}; nothing is resampled."
            return (z, y, x)
        spacing = [z, y, x]
        coarse = max(range(3), key=spacing.__getitem__)
        if spacing[coarse] > 3 * min(spacing):
            along = sorted(fp.spacing_mm[coarse] for fp in self.fingerprint.cases.values())
            spacing[coarse] = max(along[len(along) // 10], min(spacing))
            self.plan_why["spacing_mm"] = (
                f"The median is {shown}; along the coarse axis the 10th percentile, {spacing[coarse]:.3g} mm, keeps the "
                "detail of the finer studies."
            )
        else:
            self.plan_why["spacing_mm"] = f"The median of the studies, {shown}."
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

    # Of the configuration.

    def decide_output(self) -> Literal["regions", "labels"]:
        """A sigmoid a region where regions overlap, a softmax where they are plain labels."""
        if self.recipe.output != "auto":
            return self.recipe.output
        if self.dataset.convention.exclusive:
            self.why["output"] = "The labels exclude each other: a softmax over them and the background."
            return "labels"
        self.why["output"] = "The regions contain each other: each is trained and scored by itself, with a sigmoid."
        return "regions"

    def decide_region_weights(self) -> dict[str, float]:
        """Equal weights: the Dice term balances regions of different size already."""
        rarest = min(self.fingerprint.region_frequency.items(), key=lambda item: item[1], default=("", 0.0))
        self.why["region_weights"] = (
            f"All alike: the Dice term gives the rarest region ({rarest[0]}, {100 * rarest[1]:.2g} % of the voxels) the "
            "same say as the largest."
        )
        return dict.fromkeys(self.dataset.convention.regions, 1.0)

    def decide_network_and_patch(self) -> _Candidate:
        """The largest network, and with it the largest patch, of which the budget buys enough iterations."""
        budget_s = self._seconds_a_fold()
        chosen = None
        for size in LADDER:
            for patch in self._patches(size):
                candidate = self._candidate(size, patch, budget_s)
                if candidate is None:
                    continue
                chosen = candidate
                if candidate.iterations >= size.enough_iterations:
                    return self._explain_network(candidate, budget_s)
        if chosen is None:
            patch = self._patches(LADDER[-1])[-1]
            entry = PatchBatch(patch_size=patch, batch_size=1)
            chosen = _Candidate(LADDER[-1], network_part(LADDER[-1], patch, self.preprocessing.spacing_mm), entry, None, 1)
        return self._explain_network(chosen, budget_s)

    def decide_training(self, chosen: _Candidate) -> Training:
        """Iterations, epochs, averaging."""
        cases = len(self.fingerprint.cases)
        one_pass = math.ceil(0.8 * cases / chosen.entry.batch_size)
        budget_s = self._seconds_a_fold()
        an_epoch = 250 if budget_s is None else min(250, max(10, one_pass, chosen.iterations // 100))
        iterations = self.wishes.epochs * an_epoch if self.wishes.epochs is not None else chosen.iterations
        decay = max(0.9, min(0.999, 1 - 20 / iterations))
        self.why["average_decay"] = (
            f"The validated weights are a running average over about {1 / (1 - decay):.0f} iterations, steadier than the last."
        )
        hours = None if budget_s is None or self.wishes.epochs is not None else budget_s / 3600
        self.why["iterations"] = (
            f"{self.wishes.epochs} epochs, as asked."
            if self.wishes.epochs is not None
            else f"As many as fit into {60 * hours:.0f} minutes a fold, about {iterations:,} here."
            if hours is not None
            else f"{iterations:,}, as long as nnU-Net trains; --max-hours shortens it."
        )
        return Training(
            iterations=iterations,
            iterations_per_epoch=an_epoch,
            max_hours=hours,
            gradient_clip_norm=self.recipe.gradient_clip_norm,
            average_decay=decay,
        )

    def decide_inference(self, chosen: _Candidate) -> Inference:
        """The sliding window: as in training, mirrored along the axes that training mirrors."""
        axes = self.recipe.augmentation.mirror_axes
        self.why["inference"] = (
            f"Windows of the training's patch overlap by {100 * self.recipe.overlap:.0f} %; mirroring averages "
            f"{2 ** len(axes)} passes, which autobrats_predict --no-mirroring saves."
        )
        return Inference(patch_size=chosen.entry.patch_size, overlap=self.recipe.overlap, mirror_axes=axes)

    # How the network and the patch are found.

    def _seconds_a_fold(self) -> float | None:
        """The time of one fold; None for no limit."""
        if self.wishes.max_hours is not None:
            return self.wishes.max_hours * 3600 / max(1, self.folds)
        if self.device_type == "cpu" and self.wishes.epochs is None:
            return CPU_HOURS_A_FOLD * 3600
        return None

    def _memory_gib(self) -> float:
        if self.wishes.gpu_memory_gib is not None:
            return self.wishes.gpu_memory_gib
        if self.device_type == "cuda":
            return self.machine.gpus[self.wishes.device.index or 0].memory_gib
        return self.machine.available_ram_gib

    def _patches(self, size: NetworkSize) -> list[Size]:
        """Patch sizes from the largest that makes sense to the smallest, each with the volumes' proportions."""
        sides = [side for side in (160, 128, 112, 96, 80, 64, 48, 32) if side <= size.patch_side]
        if self.device_type == "cpu":
            sides = [side for side in sides if side <= 96]
        patches = [self._patch(side) for side in sides]
        return [patch for patch, _ in itertools.groupby(patches)]

    def _patch(self, side: int) -> Size:
        """A patch of about side^3 voxels, not larger than the median volume, each side a multiple of 16 (8, 4)."""
        shape, spacing = self.fingerprint.median_brain_shape, self.preprocessing.spacing_mm
        original = self.fingerprint.median_spacing_mm
        volume = [n * o / s for n, o, s in zip(shape, original, spacing, strict=True)]
        finest = min(spacing)
        result = []
        for extent, s in zip(volume, spacing, strict=True):
            wanted = min(side * max(finest / s, 0.25), extent)
            step = 16 if wanted >= 48 else 8 if wanted >= 20 else 4
            result.append(max(8, step * math.ceil(wanted / step - 0.25)))
        return (result[0], result[1], result[2])

    def _candidate(self, size: NetworkSize, patch: Size, budget_s: float | None) -> _Candidate | None:
        """A network on a patch with the largest batch that fits; None if not even one sample fits."""
        part = network_part(size, patch, self.preprocessing.spacing_mm)
        batch = self._batch(part, patch)
        if batch == 0:
            return None
        memory = self._estimate(part, patch, batch)
        entry = PatchBatch(patch_size=patch, batch_size=batch, memory_gib=round(memory, 2))
        if budget_s is None:
            return _Candidate(size, part, entry, None, GPU_ITERATIONS)
        step_s = self._step_s(part, patch, batch)
        return _Candidate(size, part, entry, step_s, max(1, int((1 - VALIDATION_SHARE) * budget_s / step_s)))

    def _batch(self, part: Part, patch: Size) -> int:
        limit = MEMORY_SHARE * self._memory_gib()
        voxels = math.prod(patch)
        largest = max(2, round(CPU_BATCH_VOXELS / voxels)) if self.device_type == "cpu" else max(2, 4 * 128**3 // voxels)
        largest = min(largest, 8 if self.device_type == "cpu" else 32, max(1, round(0.8 * len(self.fingerprint.cases))))
        batch = largest
        while batch > 0 and self._estimate(part, patch, batch) > limit:
            batch //= 2
        return batch

    def _estimate(self, part: Part, patch: Size, batch: int) -> float:
        return estimate_training_memory_gib(*self._modules(part), patch, batch, self.device_type, mixed_precision=True)

    def _step_s(self, part: Part, patch: Size, batch: int) -> float:
        """Seconds of a step: measured here, or, for another card, from its arithmetic at ten teraflops."""
        if self.wishes.gpu_memory_gib is not None and self.wishes.device.type == "cpu":
            return 3 * _forward_flops(*self._modules(part)[:1], len(self.dataset.modalities), patch, batch) / 1e13
        return measure_step_s(*self._modules(part), patch, batch, self.wishes.device, limit_s=1.0)

    def _modules(self, part: Part) -> tuple[Callable[[], nn.Module], Callable[[], SegmentationLoss], int, int]:
        channels = len(channel_names(self.output, self.dataset.convention))
        modalities = len(self.dataset.modalities)
        network = functools.partial(build_network, part.name, part.options, modalities, channels)
        loss = functools.partial(
            registry.build,
            "loss",
            self.recipe.loss.name,
            self.recipe.loss.options,
            output=self.output,
            channel_weights=torch.ones(channels),
        )
        return network, loss, modalities, channels

    def _explain_network(self, chosen: _Candidate, budget_s: float | None) -> _Candidate:
        z, y, x = chosen.entry.patch_size
        if budget_s is None:
            self.why["network"] = f"The {chosen.size.name} size: no time limit was given, and it fits the memory."
        else:
            self.why["network"] = (
                f"The {chosen.size.name} size: {budget_s / 60:.0f} minutes a fold buy about {chosen.iterations:,} steps of "
                f"{chosen.step_s:.3g} s, and it wants {chosen.size.enough_iterations:,}; the next larger would get too few."
            )
        self.why["pool"] = (
            f"{z} x {y} x {x} voxels, {chosen.entry.batch_size} a batch: an estimated {chosen.entry.memory_gib} GiB of "
            f"{self._memory_gib():.1f} GiB."
        )
        return chosen


def _forward_flops(network: Callable[[], nn.Module], in_channels: int, patch: Size, batch: int) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model, images = network(), torch.empty(batch, in_channels, *patch)
    with FlopCounterMode(display=False) as counter:
        model(images)
    return float(counter.get_total_flops())
