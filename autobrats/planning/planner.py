"""The planner: one method for every decision, each with a sentence of why."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Literal

from autobrats.dataset.cases import Dataset
from autobrats.devices import Machine
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.losses.building import build_loss
from autobrats.losses.median_frequency import median_frequency_weights
from autobrats.networks.building import build_network, divisor_of
from autobrats.networks.output import channel_names
from autobrats.plan import (
    Augmentation,
    Configuration,
    Inference,
    Plan,
    Training,
    usual_hooks,
)
from autobrats.planning.dataset_planner import DatasetPlanner
from autobrats.planning.explain import duration
from autobrats.planning.network_search import Candidate, NetworkSearch, Rung
from autobrats.planning.network_sizes import LADDER, RecipeRung
from autobrats.planning.recipes import Recipe, configuration_name
from autobrats.planning.speed import StepSpeed
from autobrats.planning.weightless import without_weights
from autobrats.planning.wishes import Wishes

ASSUMED_FLOP_PER_S = 1e13
"""Of another card that is planned for but not there to be measured."""
LEFT_RIGHT = 2
"""The axis x of canonical volumes, (z, y, x)."""
_SIDE = re.compile(r"left|right|(^|[_ -])[lr]h?($|[_ -])", re.I)

GPU_ITERATIONS = 250_000
"""Without a budget, a GPU trains as long as nnU-Net does by default: 1,000 epochs of 250 iterations."""
CPU_HOURS = 1.0
"""Without a budget, a machine without a GPU trains an hour in all."""
VALIDATION_SHARE = 0.1
"""The share of a fold's time that is left to the final validation when the iterations are estimated."""


class Planner(DatasetPlanner):
    """Decides everything from the fingerprint, the machine and the wishes.

    A variant overrides the method of what it decides otherwise; each decision leaves its reason in ``why``.

    Args:
        dataset: the cases.
        fingerprint: what was measured of them.
        machine: what was found of the computer.
        speed: of the standard training step on the device that the wishes name.
        wishes: what the user asked for.
        recipe: values of a method; the default's are those of plans/default.json.
        recipe_name: for the plan.
    """

    def __init__(
        self,
        dataset: Dataset,
        fingerprint: DatasetFingerprint,
        machine: Machine,
        speed: StepSpeed,
        wishes: Wishes,
        recipe: Recipe,
        recipe_name: str = "default",
    ) -> None:
        super().__init__(dataset, fingerprint, seed=wishes.seed, n_folds=wishes.n_folds)
        self.machine, self.speed, self.wishes = machine, speed, wishes
        self.recipe, self.recipe_name = recipe, recipe_name
        self.why: dict[str, str] = {}
        self.device_type = "cuda" if wishes.gpu_memory_gib is not None else wishes.device.type

    def plan(self) -> Plan:
        """The plan with the recipe's configuration."""
        plan = super().plan()
        plan.configurations[configuration_name(self.recipe_name)] = self.configuration_beside(plan)
        return plan

    def configuration_beside(self, plan: Plan) -> Configuration:
        """The configuration of the recipe for a plan that is there: on its preprocessing and in its folds."""
        self.folds, self.preprocessing = plan.folds, plan.preprocessing
        return self.configuration()

    def configuration(self) -> Configuration:
        """The configuration of the recipe, fitted to data, memory and budget."""
        self.why = dict(self.recipe.why)
        self.modalities = self.decide_modalities()
        self.output = self.decide_output()
        self.augmentation = self.decide_augmentation()
        chosen = self.decide_network_and_patch()
        training = self.decide_training(chosen)
        return Configuration(
            recipe=self.recipe_name,
            modalities=self.modalities,
            intensities=self.recipe.intensities,
            output=self.output,
            pool=chosen.pool,
            network=chosen.network,
            loss=self.recipe.loss,
            region_weights=self.decide_region_weights(),
            sampler=self.recipe.sampler,
            augmentation=self.augmentation,
            optimiser=self.recipe.optimiser,
            schedule=self.recipe.schedule,
            trainer=self.recipe.trainer,
            hooks=[*self.recipe.hooks, *usual_hooks()],
            training=training,
            inference=self.decide_inference(chosen),
            postprocessing=self.recipe.postprocessing,
            why=self.why,
        )

    def decide_output(self) -> Literal["regions", "labels"]:
        """A sigmoid a region where regions overlap, a softmax where they are plain labels."""
        if self.recipe.output != "auto":
            return self.recipe.output
        if self.dataset.convention.exclusive:
            self.why["output"] = "The labels exclude each other: a softmax over them and the background."
            return "labels"
        self.why["output"] = "The regions contain each other: each is trained and scored by itself, with a sigmoid."
        return "regions"

    def decide_augmentation(self) -> Augmentation:
        """The recipe's; parts of an anatomy are mirrored only from left to right, and not at all if their names say a side.

        A tumour may lie anywhere, any way round. Labels that exclude each other are mostly parts of one structure, which are
        told apart by where they lie: an upside-down hippocampus teaches the wrong thing.
        """
        augmentation = self.recipe.augmentation
        if not self.dataset.convention.exclusive or len(self.dataset.convention.labels) < 2:
            return augmentation
        has_sides = any(_SIDE.search(label) for label in self.dataset.convention.labels)
        axes = [] if has_sides else [axis for axis in augmentation.mirror_axes if axis == LEFT_RIGHT]
        how = (
            "their names say a side, so nothing is mirrored"
            if has_sides
            else "they are mirrored from left to right only"
        )
        self.why["mirror_axes"] = f"The labels exclude each other, like the parts of a structure; {how}."
        return augmentation.model_copy(update={"mirror_axes": axes})

    def decide_modalities(self) -> list[str]:
        """The recipe's, those of them that the dataset has; all of the dataset's if the recipe names none."""
        wanted, known = self.recipe.modalities, self.dataset.modalities
        if wanted is None:
            return known
        found = [modality for modality in wanted if modality in known]
        if not found:
            self.why["modalities"] = f"The recipe's own ({', '.join(wanted)}) are not in this dataset, so it sees all."
            return known
        left_out = [modality for modality in wanted if modality not in known]
        missing = f", without {', '.join(left_out)}, which this dataset does not have" if left_out else ""
        self.why["modalities"] = f"The network sees {', '.join(found)}, as published{missing}."
        return found

    def decide_region_weights(self) -> dict[str, float]:
        """Equal weights (the Dice term balances regions of different size already), or median-frequency weights."""
        if self.recipe.region_weights == "median_frequency":
            return self._median_frequency_weights()
        frequencies = self._channel_frequencies()
        rarest = min(frequencies, key=frequencies.__getitem__)
        self.why["region_weights"] = (
            f"All alike: the Dice term gives the rarest ({rarest}, {100 * frequencies[rarest]:.2g} % of the voxels) the same "
            "say as the largest."
        )
        names = channel_names(self.output, self.dataset.convention)
        return {name: 1.0 for name in names if name != "background"}

    def decide_network_and_patch(self) -> Candidate:
        """The largest network, and with it the largest patch, of which the budget buys enough iterations."""
        names = channel_names(self.output, self.dataset.convention)
        original = self.fingerprint.median_spacing_mm
        sides = zip(self.fingerprint.median_brain_shape, original, self.preprocessing.spacing_mm, strict=True)
        self.ladder = self._ladder(len(names))
        budget_s = self._seconds_a_fold()
        is_here = self.device_type == self.wishes.device.type
        chosen = NetworkSearch(
            volume=[voxels * before / after for voxels, before, after in sides],
            spacing_mm=self.preprocessing.spacing_mm,
            in_channels=len(self.modalities),
            out_channels=len(names),
            loss=functools.partial(build_loss, self.recipe.loss, self.output, self.dataset.convention, {}),
            cases=self.training_cases,
            device=self.wishes.device,
            device_type=self.device_type,
            memory_gib=self._memory_gib(),
            budget_s=None if budget_s is None else (1 - VALIDATION_SHARE) * budget_s,
            flop_per_s=1e9 * self.speed.gflop_per_s if is_here else ASSUMED_FLOP_PER_S,
            ladder=self.ladder,
            many_sizes=self.recipe.pool == "many",
            most_samples=self.recipe.most_samples,
        ).find()
        self._explain_network(chosen, budget_s)
        return chosen

    def decide_training(self, chosen: Candidate) -> Training:
        """Iterations, epochs, averaging."""
        one_pass = math.ceil(self.training_cases / chosen.pool[0].batch_size)
        budget_s = self._seconds_a_fold()
        affordable = chosen.iterations or GPU_ITERATIONS
        an_epoch = 250 if self.device_type != "cpu" else min(250, max(10, one_pass, affordable // 30))
        if budget_s is not None:
            an_epoch = min(an_epoch, max(10, affordable // 20))
        iterations = self.wishes.epochs * an_epoch if self.wishes.epochs is not None else affordable
        decay = max(0.9, min(0.999, 1 - 20 / iterations)) if self.recipe.average_weights else None
        self.why["average_decay"] = (
            "The last weights are validated and kept, as published."
            if decay is None
            else f"The validated weights are a running average over about {1 / (1 - decay):.0f} iterations, steadier than the "
            "last."
        )
        hours = None if budget_s is None or self.wishes.epochs is not None else budget_s / 3600
        self.why["iterations"] = (
            f"{self.wishes.epochs} epochs, as asked."
            if self.wishes.epochs is not None
            else f"As many as fit into the time; {iterations:,} is the estimate for this machine."
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

    def decide_inference(self, chosen: Candidate) -> Inference:
        """The sliding window: as in training, mirrored along the axes that training mirrors."""
        axes = self.augmentation.mirror_axes if self.recipe.test_time_mirroring else []
        mirroring = f"mirroring averages {2 ** len(axes)} passes, which autobrats_predict --no-mirroring saves"
        self.why["inference"] = (
            f"The windows, as large as the training's patches, overlap by {100 * self.recipe.overlap:.0f} %"
            f"{'; ' + mirroring if axes else ''}."
        )
        return Inference(
            patch_size=chosen.pool[0].patch_size,
            overlap=self.recipe.overlap,
            mirror_axes=axes,
            mirror_average=self.recipe.mirror_average,
        )

    # How the network and the patch are found.

    @property
    def training_cases(self) -> int:
        """Of a fold."""
        return self.wishes.training_cases or max(1, round(0.8 * len(self.fingerprint.cases)))

    def _ladder(self, out_channels: int) -> Sequence[Rung]:
        """The sizes of the recipe's network, or of the default's."""
        network = self.recipe.network
        if network is None:
            return LADDER
        rungs = []
        for size in self.recipe.sizes:
            options = {**network.options, **size.options}
            build = functools.partial(build_network, network.name, options, len(self.modalities), out_channels)
            divisor = divisor_of(without_weights(build))
            rungs.append(RecipeRung(network, size.options, size.name, size.enough_iterations, size.patch_side, divisor))
        return rungs

    def _channel_frequencies(self) -> dict[str, float]:
        """The share of the brain's voxels of every channel of the output."""
        if self.output == "regions":
            return self.fingerprint.region_frequency
        labels = self.fingerprint.label_frequency
        return {"background": max(0.0, 1 - sum(labels.values())), **labels}

    def _median_frequency_weights(self) -> dict[str, float]:
        """Of the channels, the background included where labels exclude each other."""
        frequencies = self._channel_frequencies()
        weights = {name: round(weight, 5) for name, weight in median_frequency_weights(frequencies).items()}
        told = ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())
        self.why["region_weights"] = f"The median of the frequencies over each one's own: {told}."
        return weights

    def _seconds_a_fold(self) -> float | None:
        """The time of one fold, by which network and patch are sized; None for no limit."""
        hours = self.wishes.max_hours
        if hours is None and self.device_type == "cpu":
            hours = CPU_HOURS
        return None if hours is None else hours * 3600 / max(1, self.folds)

    def _memory_gib(self) -> float:
        if self.wishes.gpu_memory_gib is not None:
            return self.wishes.gpu_memory_gib
        if self.device_type == "cuda":
            return self.machine.gpus[self.wishes.device.index or 0].memory_gib
        return self.machine.available_ram_gib

    def _explain_network(self, chosen: Candidate, budget_s: float | None) -> None:
        rung = self.ladder.index(chosen.size)
        name = f"This is '{chosen.size.name}', number {rung + 1} of {len(self.ladder)} sizes from the largest"
        if chosen.pool[0].memory_gib is None:
            reason = "by the estimate nothing fits the memory, and this takes least"
        elif budget_s is None or chosen.iterations is None or chosen.step_s is None:
            reason = "no time limit was given, and it is the largest that fits the memory"
        else:
            bought = (
                f"{duration(budget_s / 3600)} a fold buy about {chosen.iterations:,} steps of {chosen.step_s:.2g} s"
            )
            if not chosen.is_enough:
                reason = f"{bought}; that is few even for the smallest network, and more time will give a better one"
            elif rung == 0:
                reason = f"{bought}, which is enough for the largest"
            else:
                reason = f"{bought}; a larger one would get fewer than it needs"
        self.why["network"] = f"{name}: {reason}."
        memory = "on the card planned for" if self.wishes.gpu_memory_gib is not None else "free on this machine"
        if self.wishes.gpu_memory_gib is None and self.device_type == "cuda":
            memory = "on this machine's GPU"
        self.why["pool"] = (
            f"There are {self._memory_gib():.1f} GiB {memory}; what a training step takes of them is an estimate."
            + (f" One of the {len(chosen.pool)} is drawn for every step." if len(chosen.pool) > 1 else "")
        )
