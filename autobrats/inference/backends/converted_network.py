"""What networks that another library runs have in common: converted once, compared with torch, torch in their place."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from autobrats.inference.backends.arrangements import Arrangement, CpuBackend, Shape
from autobrats.inference.backends.kept_models import KeptModels

COMPILED_KEPT = 12
"""Compiled shapes that a network keeps; the one used longest ago goes first."""
_log = logging.getLogger(__name__)


class Compiled(ABC):
    """A network compiled for one shape and arrangement."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """The logits of images, a whole number of batches."""

    def release(self) -> None:  # noqa: B027
        """Give the memory of activations back; nothing unless a library can do it."""


class ConvertedNetwork(ABC):
    """A network run by another library, compiled for every input shape and arrangement.

    What is compiled is compared with torch on its first patches (further arrangements with one that passed), and that is
    written down beside the converted model, so that it is done once. If images cannot be computed one at a time, or their
    logits differ, torch goes on in its place, and the log says so; another arrangement that fails is not used again. The
    logits of a patch do not depend on what was predicted before.

    Args:
        network: on any device; it is moved to the CPU.
        kept: where converted models are kept; by default nowhere.
    """

    backend: ClassVar[CpuBackend]
    title: ClassVar[str]
    instead: ClassVar[str] = "torch does it, more slowly"
    failure_level: ClassVar[int] = logging.WARNING
    """Of the message that it cannot run a network."""
    tolerance: ClassVar[float] = 5e-3
    """Largest difference of a logit, relative to the largest logit of the patch (at least 1), that is no failure."""

    def __init__(self, network: nn.Module, kept: KeptModels | None = None) -> None:
        self.network = network.cpu().eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self.kept = kept or KeptModels()
        self.failures: dict[tuple[Shape, Arrangement], str] = {}
        """What does not work, with the reason."""
        self._plain = Arrangement(backend=self.backend)
        self._compiled: OrderedDict[tuple[Shape, Arrangement], Compiled] = OrderedDict()

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images, (batch, modality, z, y, x): in one batch, one by one if that fails, or by torch."""
        for arrangement in (Arrangement(backend=self.backend, batch=len(images)), self._plain):
            logits = self.run(images, arrangement)
            if logits is not None:
                return logits
        return self.network(images).logits

    @property
    def failed(self) -> bool:
        """Whether torch goes on in its place."""
        return any(arrangement == self._plain for _, arrangement in self.failures)

    def run(self, images: Tensor, arrangement: Arrangement) -> Tensor | None:
        """Logits of images, (any number, modality, z, y, x), computed in that arrangement; None if that does not work."""
        if not self.prepare(images, arrangement):
            return None
        key = (tuple(images.shape[1:]), arrangement)
        self._compiled.move_to_end(key)
        try:
            return _in_whole_batches(self._compiled[key], images, arrangement.batch)
        except Exception as error:
            self._fail(key, error)
            return None

    def prepare(self, images: Tensor, arrangement: Arrangement) -> bool:
        """Compile for images of this shape, with a check on the first of them; whether it works."""
        key = (tuple(images.shape[1:]), arrangement)
        if self.failed or key in self.failures:
            return False
        if key in self._compiled:
            return True
        try:
            name = self.kept_name(key[0])
            compiled = self._compile(images[:1], arrangement)
            check = self.check_name(arrangement)
            if not self.kept.is_checked(name, check):
                self.kept.note_check(name, check, self._check(compiled, images, arrangement))
        except Exception as error:
            self._fail(key, error)
            return False
        self._compiled[key] = compiled
        while len(self._compiled) > COMPILED_KEPT:
            self._compiled.popitem(last=False)
        return True

    def forget_others(self, shape: Shape, arrangement: Arrangement) -> None:
        """Keep nothing that is compiled for images of this shape but that arrangement, and its backend's plain one.

        The plain one computes what is left over when fewer images come than the arrangement takes.
        """
        spared = (arrangement, Arrangement(backend=arrangement.backend))
        for key in [key for key in self._compiled if key[0] == shape and key[1] not in spared]:
            del self._compiled[key]

    def forget(self, shape: Shape) -> None:
        """Keep nothing that is compiled for images of this shape."""
        for key in [key for key in self._compiled if key[0] == shape]:
            del self._compiled[key]

    def release(self) -> None:
        """Give the memory of activations back, so that several networks do not hold theirs at the same time."""
        for compiled in self._compiled.values():
            compiled.release()

    def check_name(self, arrangement: Arrangement) -> str:
        """Under which name a passed check is written down."""
        return str(arrangement)

    def _check(self, compiled: Compiled, images: Tensor, arrangement: Arrangement) -> float:
        """The largest difference to torch's logits; ValueError if it is too large."""
        some = images[: arrangement.images]
        fast = _in_whole_batches(compiled, some, arrangement.batch)
        compiled.release()  # so that its activations and torch's are not in memory together
        plain = self._compiled.get((tuple(images.shape[1:]), self._plain))
        if plain is not None:  # it was compared with torch, and is faster
            exact = plain(some)
        else:
            exact = torch.cat([self.network(image[None]).logits for image in some])
        difference = float((fast - exact).abs().max())
        if not difference <= self.tolerance * max(1.0, float(exact.abs().max())):
            raise ValueError(f"its logits differ from torch's by {difference:.2g}")
        return difference

    def _fail(self, key: tuple[Shape, Arrangement], error: Exception) -> None:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        self.failures[key] = reason
        if self.failed:
            self._compiled.clear()
            _log.log(self.failure_level, "%s cannot run this network (%s); %s.", self.title, reason, self.instead)
        else:
            self._compiled.pop(key, None)
            _log.info("%s cannot run this network as %s (%s); another arrangement does it.", self.title, key[1], reason)

    @abstractmethod
    def kept_name(self, shape: Shape) -> str:
        """Under which name the converted model for images of this shape is kept: ``BACKEND-HASH``."""

    @abstractmethod
    def _compile(self, image: Tensor, arrangement: Arrangement) -> Compiled:
        """Convert, or read what was converted, and compile."""


def _in_whole_batches(compiled: Compiled, images: Tensor, batch: int) -> Tensor:
    """The logits of images; a last batch that is not full is filled with zeros."""
    missing = -len(images) % batch
    if not missing:
        return compiled(images)
    return compiled(torch.cat([images, images.new_zeros((missing, *images.shape[1:]))]))[: len(images)]
