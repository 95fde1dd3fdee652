"""The trainer: one method for every decision, and a loop around them.

A variant overrides the method of what it changes and is found by its registered name; what happens beside the steps
(checkpoints, budget, progress) are hooks.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autobrats import registry
from autobrats.devices import computes_bfloat16
from autobrats.inference.postprocessor import Postprocessor
from autobrats.loading.batches import Batch, BatchLoader, ChannelTable
from autobrats.loading.training_cases import TrainingCase
from autobrats.losses.building import build_loss
from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.networks.building import build_network
from autobrats.networks.output import channel_names
from autobrats.planning.plan_check import check_patch_sizes, check_slice_axis
from autobrats.training import checkpoints
from autobrats.training.averaging import AveragedNetwork
from autobrats.training.budget import TimeBudget
from autobrats.training.hooks import Hook
from autobrats.training.job import TrainingJob
from autobrats.training.kept_memory import memory_is_kept
from autobrats.training.pretrained import take_weights, write_matches
from autobrats.training.schedules import Schedule
from autobrats.training.step_probe import StepProbe
from autobrats.training.step_settings import Measured, StepSettings, may_compile, settings_of, usual_settings
from autobrats.training.stopping import NotANumberGuard, StopOnSignal
from autobrats.training.validation import ValidationEstimate

_log = logging.getLogger(__name__)


class Trainer:
    """Fits one configuration's network on one fold.

    Args:
        job: what to train, on what.

    Attributes:
        iteration: steps done.
        total_iterations: steps to do; the time budget may change it.
        elapsed_s: seconds of training so far, earlier starts included.
        history: one record an epoch.
        record: the record of the epoch under way.
        stop_reason: set to ask the trainer to stop after the step under way.
        ended_in_order: whether the last step was completed, nothing having been raised.
        settings: how steps are run; see :meth:`use_settings`.
        forward: runs the network as the settings say, from images arranged by them; shares the network's weights.
        training_cases: names of the cases that batches are drawn from; see :meth:`use_cases`.
        scheduled_share: the share of the steps over which the schedule runs; after it, the rate is ``later_rate`` times the
            peak. A hook that fine-tunes changes both.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.configuration, self.device = job, job.configuration, job.device
        torch.manual_seed(job.seed_of("weights"))
        self.network = self.build_network().to(self.device)
        check_patch_sizes(self.network, job.name, self.configuration)
        check_slice_axis(self.network, job.name, self.configuration)
        # Built once before the training, so that a wrong option is told now and not after it.
        Postprocessor(self.configuration.postprocessing, job.plan.convention, getattr(self.network, "slice_axis", None))
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = len(self.configuration.pool) == 1
        self.loss = self.build_loss().to(self.device)
        self.optimiser = self.build_optimiser()
        self.use_settings(usual_settings(self.device))
        self.average = AveragedNetwork(self.network, self.configuration.training.average_decay)
        self.schedule = self.build_schedule()
        self.guard = NotANumberGuard()
        self.iteration, self.total_iterations = 0, self.configuration.training.iterations
        self.history: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {}
        self.last_loss = float("nan")
        self.stop_reason: str | None = None
        self.ended_in_order = False
        self.training_cases = list(job.training_cases)
        self.scheduled_share, self.later_rate = 1.0, 0.0
        self._batches: Generator[Batch, None, None] | None = None
        self._elapsed_before_s, self._started = 0.0, time.perf_counter()
        self._loss_sum, self._loss_count = 0.0, 0
        self.hooks = self.build_hooks()

    # What a variant may decide otherwise.

    def build_network(self) -> nn.Module:
        """The network, with random weights."""
        part = self.configuration.network
        names = channel_names(self.configuration.output, self.job.plan.convention)
        return build_network(part.name, part.options, len(self.configuration.modalities), len(names))

    def build_loss(self) -> SegmentationLoss:
        """The loss, its channels weighted as the plan says (1 where it says nothing)."""
        configuration = self.configuration
        return build_loss(
            configuration.loss, configuration.output, self.job.plan.convention, configuration.region_weights
        )

    def build_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser over the network's parameters."""
        part = self.configuration.optimiser
        return registry.build("optimiser", part.name, part.options, network=self.network)

    def build_schedule(self) -> Schedule:
        """What scales the learning rate."""
        part = self.configuration.schedule
        return registry.build("schedule", part.name, part.options)

    def open_training_cases(self) -> list[TrainingCase]:
        """The cases that batches are drawn from."""
        return self.job.open_cases(self.training_cases)

    def build_loader(self) -> BatchLoader:
        """The source of batches."""
        part = self.configuration.sampler
        return BatchLoader(
            self.open_training_cases(),
            self.configuration.pool,
            registry.build("sampler", part.name, part.options),
            self.configuration.augmentation,
            ChannelTable(self.configuration.output, self.job.plan.convention),
            self.job.plan.preprocessing.spacing_mm,
            self.job.seed_of("batches"),
            self.device,
            self.job.loading_threads,
        )

    def build_hooks(self) -> list[Hook]:
        """What happens beside the steps: stopping, the job's hooks, the plan's in their order, and the time budget."""
        hooks: list[Hook] = [StopOnSignal(), *self.job.hooks]
        for part in self.configuration.hooks:
            hooks.append(registry.build("hook", part.name, part.options, job=self.job))
        if self.configuration.training.max_hours is not None:
            budget_s = self.configuration.training.max_hours * 3600
            estimate = ValidationEstimate(self.job, self.network)

            def validation_s(step_s: float) -> float:
                # However long it takes, half of the time is for training.
                return min(estimate.effort(step_s).seconds, 0.5 * budget_s)

            hooks.append(TimeBudget(budget_s, validation_s, self.job.most_iterations))
        return hooks

    def compute_loss(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        images = self.settings.arrange(batch.images)
        with self.precision():
            output = self.forward(images)
        return self.loss(output, batch.channels)

    # How fast a step is.

    def use_settings(self, settings: StepSettings) -> None:
        """Run the training's forward passes in this way."""
        self.settings = settings
        self.network = settings.place(self.network)
        self.forward = settings.prepare(self.network)
        for parameter, state in self.optimiser.state.items():
            for key, value in state.items():
                # Fused optimisers take the numbers as they lie in memory, whatever the strides.
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def measure_settings(self, budget_s: float) -> Measured:
        """Seconds of a step on random data by settings, within so many seconds."""
        configuration = self.configuration
        names = channel_names(configuration.output, self.job.plan.convention)
        probe = StepProbe(
            self.network,
            self.loss,
            max(configuration.pool, key=lambda entry: math.prod(entry.patch_size) * entry.batch_size),
            (len(configuration.modalities), len(names)),
            self.device,
            self.precision,
            configuration.training.max_hours,
            may_compile(self.job),
        )
        return probe.measure(budget_s)

    # The loop.

    def train(self) -> None:
        """Train from where the checkpoint left off to the end, or until asked to stop."""
        with memory_is_kept(self.device):
            self._train()

    def _train(self) -> None:
        self.restore()
        self._started = time.perf_counter()
        self.use_settings(settings_of(self.job, self.measure_settings))
        self.network.train()
        for hook in self.hooks:
            hook.before_training(self)
        try:
            while self.iteration < self.total_iterations and self.stop_reason is None:
                self.step(self.next_batch())
                for hook in self.hooks:
                    hook.after_step(self)
                if self.is_epoch_end:
                    self._end_epoch()
            self.ended_in_order = True
        finally:
            self._close_batches()
            for hook in self.hooks:
                hook.after_training(self)

    def next_batch(self) -> Batch:
        """The batch of the next step."""
        if self._batches is None:
            self._batches = self.build_loader().batches(self.iteration)
        return next(self._batches)

    def use_cases(self, names: Sequence[str]) -> None:
        """Draw the batches from these training cases from the next step on."""
        self.training_cases = list(names)
        self._close_batches()

    def _close_batches(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def step(self, batch: Batch) -> None:
        """One step of the optimiser."""
        self.loss.progress = self.progress
        torch.manual_seed((self.job.seed_of("dropout") << 24) + self.iteration)
        loss = self.compute_loss(batch)
        loss.backward()
        limit = self.configuration.training.gradient_clip_norm
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), float("inf") if limit is None else limit)
        # Read together: a GPU is waited for once in a step, when its backward pass is under way already.
        self.last_loss, norm_now = torch.stack([loss.detach(), norm]).tolist()
        self.iteration += 1
        if math.isfinite(self.last_loss) and math.isfinite(norm_now):
            self._descend()
            self._loss_sum, self._loss_count = self._loss_sum + self.last_loss, self._loss_count + 1
        else:
            self.guard.record(batch.cases, self.iteration)
        self.optimiser.zero_grad(set_to_none=True)

    def _descend(self) -> None:
        for group in self.optimiser.param_groups:
            group.setdefault("peak_rate", group["lr"])
            group["lr"] = group["peak_rate"] * self.rate_factor
        self.optimiser.step()
        self.average.update(self.iteration)

    @property
    def rate_factor(self) -> float:
        """The factor on the peak learning rate of the step that is counted already."""
        progress = (self.iteration - 1) / max(1, self.total_iterations) / self.scheduled_share
        factor = self.schedule.factor(progress) if progress < 1 else self.later_rate
        return factor * self.guard.rate_factor

    @property
    def progress(self) -> float:
        """The share of the steps that is done."""
        return self.iteration / max(1, self.total_iterations)

    @property
    def elapsed_s(self) -> float:
        return self._elapsed_before_s + time.perf_counter() - self._started

    @property
    def step_s(self) -> float:
        """Seconds of a step, all pauses included."""
        return self.elapsed_s / max(1, self.iteration)

    @property
    def epoch(self) -> int:
        """The epoch under way, from 0."""
        return (self.iteration - 1) // self.configuration.training.iterations_per_epoch

    def precision(self) -> contextlib.AbstractContextManager:
        """bfloat16 autocast on devices with units for it, if the plan wants it."""
        if self.configuration.training.mixed_precision and computes_bfloat16(self.device):
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    @property
    def is_epoch_end(self) -> bool:
        """Whether the step just done was an epoch's last."""
        return (
            self.iteration % self.configuration.training.iterations_per_epoch == 0
            or self.iteration >= self.total_iterations
        )

    def _end_epoch(self) -> None:
        self.record = {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "loss": self._loss_sum / self._loss_count if self._loss_count else None,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "seconds": round(self.elapsed_s, 1),
        }
        self._loss_sum, self._loss_count = 0.0, 0
        self.history.append(self.record)
        for hook in self.hooks:
            hook.after_epoch(self)
        self.schedule.observe(self.record)
        self.job.run.write_history(self.history)

    # Checkpoints.

    def save(self) -> None:
        """Write a checkpoint from which :meth:`restore` goes on exactly."""
        tensors = checkpoints.with_prefix("network", self.network.state_dict())
        if self.average.decay is not None:
            tensors |= checkpoints.with_prefix("average", self.average.network.state_dict())
        optimiser, plain = checkpoints.optimiser_tensors(self.optimiser)
        tensors |= checkpoints.with_prefix("optimiser", optimiser)
        state = {
            "iteration": self.iteration,
            "total_iterations": self.total_iterations,
            "elapsed_s": self.elapsed_s,
            "not_a_number_events": self.guard.events,
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "history": self.history,
            "optimiser": plain,
        }
        checkpoints.save_tensors(self.job.run.checkpoint_file, tensors, state)

    def restore(self) -> None:
        """Go on from the run's checkpoint; without one, start from the pretrained weights, if there are any."""
        path = self.job.run.checkpoint_file
        if not path.is_file():
            if self.job.pretrained is not None:
                write_matches(self.job.run.pretrained_table, take_weights(self.network, self.job.pretrained))
                self.average = AveragedNetwork(self.network, self.configuration.training.average_decay)
            return
        tensors, state = checkpoints.load_tensors(path)
        self.network.load_state_dict(checkpoints.without_prefix("network", tensors))
        if self.average.decay is not None:
            self.average.network.load_state_dict(checkpoints.without_prefix("average", tensors))
        checkpoints.restore_optimiser(
            self.optimiser, checkpoints.without_prefix("optimiser", tensors), state["optimiser"]
        )
        self.iteration, self._elapsed_before_s = state["iteration"], state["elapsed_s"]
        if self.configuration.training.max_hours is not None:
            self.total_iterations = state["total_iterations"]
        self.guard.events, self.history = state["not_a_number_events"], state["history"]
        self._loss_sum, self._loss_count = state["loss_sum"], state["loss_count"]
        for record in self.history:
            self.schedule.observe(record)
        _log.info("%s goes on after iteration %d of %d.", self.job.title, self.iteration, self.total_iterations)
