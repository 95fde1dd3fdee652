"""A recipe with the sizes and the schedule of its paper, whatever the machine (``--as-published``)."""

from __future__ import annotations

import functools
import math

from autobrats.errors import UserError
from autobrats.losses.building import build_loss
from autobrats.networks.building import build_network
from autobrats.networks.output import channel_names
from autobrats.plan import Configuration, Part, PatchBatch, Training
from autobrats.planning.memory import estimate_training_memory_gib
from autobrats.planning.network_search import Candidate
from autobrats.planning.network_sizes import RecipeRung
from autobrats.planning.planner import Planner
from autobrats.planning.recipes import Published


class PublishedPlanner(Planner):
    """Keeps what the paper says about network, patches, batches and epochs.

    Raises:
        UserError: at :meth:`plan`, for a recipe that no paper published.
    """

    def configuration(self) -> Configuration:
        """The configuration as published, marked as such."""
        return super().configuration().model_copy(update={"as_published": True})

    def decide_network_and_patch(self) -> Candidate:
        """The published network and pool; what they take of the memory is told, not bounded."""
        published, network = self._published()
        self.ladder = [self._rung(network)]
        pool = [self._with_memory(network, entry) for entry in published.pool]
        self.why["network"] = "As published, whatever the machine."
        most = max(entry.memory_gib or 0 for entry in pool)
        self.why["pool"] = (
            f"As published. By the estimate a training step takes up to {most:.1f} GiB, and there are "
            f"{self._memory_gib():.1f} GiB."
        )
        return Candidate(self.ladder[0], network, pool, None, None)

    def decide_training(self, chosen: Candidate) -> Training:
        """The published number of epochs; an epoch draws as many samples as there are training cases."""
        published, _ = self._published()
        batch = sum(entry.batch_size for entry in chosen.pool) / len(chosen.pool)
        an_epoch = max(1, math.ceil(self.training_cases / batch))
        epochs = self.wishes.epochs or published.epochs
        told = "as asked" if self.wishes.epochs is not None else "as published"
        self.why["iterations"] = f"{epochs} epochs, {told}, each of as many samples as there are training cases."
        return Training(
            iterations=epochs * an_epoch,
            iterations_per_epoch=an_epoch,
            max_hours=None,
            gradient_clip_norm=self.recipe.gradient_clip_norm,
            average_decay=None,
        )

    def _published(self) -> tuple[Published, Part]:
        if self.recipe.published is None or self.recipe.network is None:
            raise UserError(f"The recipe '{self.recipe_name}' is no paper's, so it cannot be planned --as-published.")
        return self.recipe.published, self.recipe.network

    def _rung(self, network: Part) -> RecipeRung:
        return RecipeRung(network, {}, "as published", 0, 0, (1, 1, 1))

    def _with_memory(self, network: Part, entry: PatchBatch) -> PatchBatch:
        out_channels = len(channel_names(self.output, self.dataset.convention))
        build = functools.partial(build_network, network.name, network.options, len(self.modalities), out_channels)
        loss = functools.partial(build_loss, self.recipe.loss, self.output, self.dataset.convention, {})
        sizes = (len(self.modalities), out_channels, entry.patch_size, entry.batch_size)
        memory = estimate_training_memory_gib(build, loss, *sizes, self.device_type, True)
        return entry.model_copy(update={"memory_gib": round(memory, 2)})
