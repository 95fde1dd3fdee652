"""A network on a CPU, run by what was measured to be fastest there."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from autobrats.devices import available_ram_gib, core_count
from autobrats.inference.backends.arrangements import Arrangement, CpuBackend, Shape, arrangements
from autobrats.inference.backends.converted_network import ConvertedNetwork
from autobrats.inference.backends.kept_models import CONVERSION, KeptModels, digest, processor
from autobrats.inference.backends.library_version import library_version
from autobrats.inference.backends.memory_estimate import Activations, estimate_memory_gib
from autobrats.inference.backends.onnx_network import OnnxNetwork
from autobrats.inference.backends.openvino_network import OpenVinoNetwork
from autobrats.inference.backends.probe import Probe
from autobrats.inference.backends.split_convolutions import has_wide_convolutions
from autobrats.inference.backends.split_network import SplitNetwork

MEMORY_SHARE = 0.25
"""Of the free memory, which passes that are computed at the same time may take."""


class Probes:
    """What is known of the speed of one architecture on this machine, by the size of the window.

    The networks of an ensemble share it, so that one measures for all.

    Args:
        backends: to choose from, the one that needs no preparation first.
        folder: where choices are kept, ``MODEL_FOLDER/converted``; None keeps them for this process only.
        architecture: what tells this architecture, with its channels and its code, from others.

    Attributes:
        activations: what is known of its memory.
    """

    def __init__(self, backends: Sequence[CpuBackend], folder: Path | None = None, architecture: str = "") -> None:
        self.backends = list(backends)
        self._folder, self._architecture = folder, architecture
        self.activations = Activations(folder, architecture)
        self._probes: dict[Shape, Probe] = {}

    def of(self, shape: Shape, network: nn.Module) -> Probe:
        """The probe for images of (modality, z, y, x)."""
        if shape not in self._probes:
            facts = self._facts(shape)
            file = None if self._folder is None else self._folder / f"choice-{digest(**facts)}.json"
            fits, threads = partial(_fits, network, shape, self.activations), torch.get_num_threads()
            gains = has_wide_convolutions(network)
            backends = [backend for backend in self.backends if gains or backend != "bf16x3"]
            candidates = arrangements(backends, shape, threads, fits)
            cut = candidates != arrangements(backends, shape, threads, lambda _: True)
            self._probes[shape] = Probe(candidates, file=file, facts=facts, cut=cut)
        return self._probes[shape]

    def _facts(self, shape: Shape) -> dict[str, str]:
        return {
            "architecture": self._architecture,
            "window": " x ".join(map(str, shape)),
            "backends": ", ".join(self.backends),
            "processor": processor(),
            "cores": f"{core_count()}, of which {torch.get_num_threads()} are used",
            "versions": ", ".join(f"{name} {library_version(name)}" for name in ("torch", "openvino", "onnxruntime")),
            "conversion": str(CONVERSION),
        }


class ChosenNetwork:
    """A network whose windows are computed by the fastest arrangement, which the first windows find out.

    Args:
        network: in evaluation mode.
        probes: the backends to choose from, and what is known of them.
        kept: where converted models are kept.
    """

    def __init__(self, network: nn.Module, probes: Probes, kept: KeptModels | None = None) -> None:
        self.network = network.cpu().eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self._probes = probes
        self._ahead = math.inf
        self._last: Arrangement | None = None
        makers: dict[str, type[ConvertedNetwork]] = {
            "bf16x3": SplitNetwork,
            "openvino": OpenVinoNetwork,
            "onnx": OnnxNetwork,
        }
        self.converted = {
            name: maker(self.network, kept) for name, maker in makers.items() if name in self._probes.backends
        }
        """By backend."""

    def __call__(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape[1:])
        probe = self._probes.of(shape, self.network)
        parts, done = [], 0
        while done < len(images):
            arrangement = probe.next(max(self._ahead, len(images) - done), len(images) - done)
            some = images[done : done + arrangement.images]
            logits = self._timed(probe, some, arrangement)
            for backend in probe.lost() & self.converted.keys():
                self.converted[backend].forget(shape)
            if probe.chosen is not None and probe.chosen.backend in self.converted:
                self.converted[probe.chosen.backend].forget_others(shape, probe.chosen)
            if logits is None:
                continue
            parts.append(logits)
            done += len(some)
            self._ahead = max(0, self._ahead - len(some))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def expect(self, passes: int) -> None:
        """Say that so many images of one size are going to come: what they may save bounds what measuring may cost.

        A network that is told nothing expects many.
        """
        self._ahead = passes

    def images_together(self, shape: Shape) -> int:
        """How many images of (modality, z, y, x) it wants at a time."""
        return self._probes.of(shape, self.network).most_images()

    def release(self) -> None:
        """Give the memory of activations back, so that several networks do not hold theirs at the same time."""
        for network in self.converted.values():
            network.release()

    def _timed(self, probe: Probe, images: Tensor, arrangement: Arrangement) -> Tensor | None:
        """The logits, with what they took told to the probe; None if the arrangement turned out not to work."""
        if arrangement != self._last:  # two arrangements' activations need not be in memory at the same time
            self.release()
            self._last = arrangement
        started = time.perf_counter()
        if arrangement.backend == "torch":
            logits = self.network(images).logits
            probe.report(arrangement, len(images), time.perf_counter() - started)
            return logits
        converted = self.converted[arrangement.backend]
        works = converted.prepare(images, arrangement)
        ready = time.perf_counter()
        if works and (logits := converted.run(images, arrangement)) is not None:
            probe.report(arrangement, len(images), time.perf_counter() - ready, ready - started)
            return logits
        of_backend = [candidate for candidate in probe.candidates if candidate.backend == arrangement.backend]
        (instead,) = arrangements(["torch"], tuple(images.shape[1:]), 1, bool)
        probe.drop(of_backend if converted.failed else [arrangement], instead)
        return None


def _fits(network: nn.Module, shape: Shape, activations: Activations, images: int) -> bool:
    modalities, *window = shape
    z, y, x = window
    needed = estimate_memory_gib(
        [network],
        window,
        modalities=modalities,
        regions=1,
        window=(z, y, x),
        batch_size=images,
        activations=activations,
    )
    return needed <= MEMORY_SHARE * available_ram_gib()
