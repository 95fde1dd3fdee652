"""A quick look at validation cases at the end of every epoch: one patch each, for the curve, never for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from autobrats.loading.batches import BatchLoader, ChannelTable
from autobrats.loading.foreground_sampler import ForegroundSampler
from autobrats.networks.output import NetworkOutput, region_probabilities
from autobrats.plan import PatchBatch
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob

if TYPE_CHECKING:
    from autobrats.training.trainer import Trainer


class QuickValidation(Hook):
    """Adds to the record ``validation_loss`` and ``quick_dice``, the Dice of each region pooled over the patches.

    Args:
        job: whose validation cases are looked at; the same patches every time.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self._batches: list[tuple[Tensor, Tensor]] = []

    def before_training(self, trainer: Trainer) -> None:
        count = self.job.configuration.training.quick_validation_cases
        names = np.random.default_rng(self.job.seed_of("quick validation")).permutation(self.job.validation_cases)
        names = names[:count].tolist()
        if not names:
            return
        loader = BatchLoader(
            self.job.open_cases(names),
            [PatchBatch(patch_size=self.job.configuration.inference.patch_size, batch_size=1)],
            ForegroundSampler(foreground_share=1.0),
            None,
            ChannelTable(self.job.configuration.output, self.job.plan.convention),
            self.job.plan.preprocessing.spacing_mm,
            self.job.seed_of("quick validation"),
            torch.device("cpu"),
            threads=0,
        )
        batches = loader.batches(0)
        self._batches = [(batch.images, batch.channels) for _, batch in zip(names, batches, strict=False)]
        batches.close()

    @torch.inference_mode()
    def after_epoch(self, trainer: Trainer) -> None:
        if not self._batches:
            return
        convention, output = self.job.plan.convention, self.job.configuration.output
        table = ChannelTable("regions", convention)
        network = trainer.average.network.eval()
        losses, overlap, size = [], np.zeros(len(convention.regions)), np.zeros(len(convention.regions))
        for images, channels in self._batches:
            with trainer.precision():
                result: NetworkOutput = network(images.to(trainer.device))
            losses.append(float(trainer.loss(result, channels.to(trainer.device))))
            predicted = (region_probabilities(result.logits.float(), output, convention) > 0.5).cpu()
            true = channels if output == "regions" else table.channels(channels[0].argmax(0))[None]
            overlap += (predicted & (true > 0)).sum((0, 2, 3, 4)).numpy()
            size += (predicted.sum((0, 2, 3, 4)) + true.sum((0, 2, 3, 4))).numpy()
        trainer.network.train()
        dice = np.where(size > 0, 2 * overlap / np.maximum(size, 1), 1.0)
        loss = float(np.mean(losses))
        trainer.record["validation_loss"] = loss if np.isfinite(loss) else None
        trainer.record["quick_dice"] = dict(zip(convention.regions, dice.round(4).tolist(), strict=True))
