"""Measuring what makes a training step fastest on this device, on random data."""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autobrats.devices import computes_bfloat16
from autobrats.losses.segmentation_loss import SegmentationLoss
from autobrats.plan import PatchBatch
from autobrats.training.step_settings import Measured, StepSettings, compiler_exists, usual_settings

MOST_STEPS = 5
TOLERANCE = 1e-3
"""Largest difference of the first loss, and of its gradient's norm, to those of the usual settings, relative to them; where
convolutions are computed in bfloat16, 2^4 times as much."""
WORTH_IT = 0.97
"""What is measured on a busy machine is not exact: other settings than the usual ones must be faster than this share."""

_log = logging.getLogger(__name__)


class _Timed(NamedTuple):
    """Seconds of the fastest step but the first; of the first: its seconds, its loss, the norm of its gradient."""

    seconds: float
    first_s: float
    loss: float
    gradient_norm: float


class StepProbe:
    """Times forward and backward passes of copies of a network.

    Args:
        network: of the training; it is not changed.
        loss: of the training; it is not changed.
        entry: patch and batch size.
        channels: of the images, and of the logits.
        device: where.
        precision: the context of the forward pass.
        hours: that the training has; None if its length is given in steps.
        may_compile: whether compiling is tried.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: SegmentationLoss,
        entry: PatchBatch,
        channels: tuple[int, int],
        device: torch.device,
        precision: Callable[[], contextlib.AbstractContextManager],
        hours: float | None,
        may_compile: bool,
    ) -> None:
        self.may_compile = may_compile
        self.network, self.loss, self.device, self.precision, self.hours = network, loss, device, precision, hours
        generator = torch.Generator().manual_seed(0)
        size = entry.patch_size
        self._images = torch.randn(entry.batch_size, channels[0], *size, generator=generator).to(device)
        self._target = (torch.rand(entry.batch_size, channels[1], *size, generator=generator) > 0.9).byte().to(device)

    def measure(self, budget_s: float) -> Measured:
        """Seconds of a step by settings, the usual ones first.

        What raises, gives another loss or gradient, or would not pay in the hours that there are is left out. Of each, at
        least two steps are run, and compiling cannot be interrupted: it may take longer than the budget.
        """
        begun = time.perf_counter()
        usual = usual_settings(self.device)
        others = self._others(usual)
        on_cuda, compiles = self.device.type == "cuda", False
        try:
            with torch.random.fork_rng(devices=[self.device] if on_cuda else []):
                right = self._time(usual, budget_s / 3)
                found = {usual: right.seconds}
                for settings in others:
                    left_s = budget_s - (time.perf_counter() - begun)
                    if left_s < 3 * right.seconds:
                        return Measured(found, tried_all=False)
                    if settings.compiled != "no":
                        compiles = True
                        best = min(found, key=lambda known: found[known])
                        settings = settings.model_copy(update={"memory_format": best.memory_format})
                    self._try(settings, left_s / 2, right, found)
                return Measured(found, tried_all=True)
        finally:
            if compiles:
                torch.compiler.reset()
            if on_cuda:
                torch.cuda.empty_cache()

    def _others(self, usual: StepSettings) -> list[StepSettings]:
        is_plain = usual.memory_format == "plain"
        listed = [StepSettings(memory_format="channels_last" if is_plain else "plain")]
        if self.may_compile and compiler_exists(self.device):
            listed += [StepSettings(compiled="default")]
            listed += [StepSettings(compiled="reduce-overhead")] if self.device.type == "cuda" else []
        return listed

    def _try(self, settings: StepSettings, limit_s: float, right: _Timed, found: dict[StepSettings, float]) -> None:
        try:
            timed = self._time(settings, limit_s)
        except Exception as error:  # whatever a compiler or a driver raises, the training goes on without it
            _log.info(
                "A step as %s fails (%s).", settings, (str(error).strip() or type(error).__name__).splitlines()[0]
            )
            return
        tolerance = TOLERANCE * (16 if computes_bfloat16(self.device) else 1)
        best_s = min(found.values())
        if not abs(timed.loss - right.loss) <= tolerance * max(1.0, abs(right.loss)):
            _log.info("A step as %s gives the loss %.6g, not %.6g.", settings, timed.loss, right.loss)
        elif not abs(timed.gradient_norm - right.gradient_norm) <= tolerance * right.gradient_norm:
            norms = timed.gradient_norm, right.gradient_norm
            _log.info("A step as %s gives a gradient of the norm %.6g, not %.6g.", settings, *norms)
        elif timed.seconds < WORTH_IT * best_s and timed.first_s < self._gain_s(1 - timed.seconds / best_s):
            found[settings] = timed.seconds

    def _gain_s(self, share: float) -> float:
        """Seconds that a training saves whose steps take this share less time."""
        return float("inf") if self.hours is None else 3600 * self.hours * share

    def _time(self, settings: StepSettings, limit_s: float) -> _Timed:
        network, criterion = settings.place(copy.deepcopy(self.network)).train(), copy.deepcopy(self.loss)
        forward, images = settings.prepare(network), settings.arrange(self._images)
        times: list[float] = []
        first: tuple[float, float] | None = None
        begun = time.perf_counter()
        while len(times) < 2 or (len(times) < MOST_STEPS and time.perf_counter() - begun < limit_s):
            torch.manual_seed(0)
            started = time.perf_counter()
            with self.precision():
                output = forward(images)
            loss: Tensor = criterion(output, self._target)
            loss.backward()
            value = loss.item()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            first = first or (value, _gradient_norm(network))
            network.zero_grad(set_to_none=True)
            times.append(time.perf_counter() - started)
        assert first is not None
        return _Timed(min(times[1:]), times[0], *first)


def _gradient_norm(network: nn.Module) -> float:
    norms = [torch.linalg.vector_norm(it.grad) for it in network.parameters() if it.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
