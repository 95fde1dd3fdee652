"""A network run by OpenVINO on a CPU, two to three times as fast as by torch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from autobrats.inference.backends.arrangements import Arrangement, CpuBackend, Shape
from autobrats.inference.backends.converted_network import Compiled, ConvertedNetwork
from autobrats.inference.backends.kept_models import CONVERSION, digest
from autobrats.inference.backends.library_version import library_version
from autobrats.inference.backends.tracing import Logits, ready_for_tracing, rewritten_for_openvino

SUFFIXES = (".xml", ".bin")


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def openvino_computes_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 (AMX, AVX-512 BF16), as OpenVINO sees it."""
    return "BF16" in _import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoNetwork(ConvertedNetwork):
    """A network run by OpenVINO; see :class:`~autobrats.inference.backends.converted_network.ConvertedNetwork`."""

    backend: ClassVar[CpuBackend] = "openvino"
    title = "OpenVINO"
    hint: ClassVar[str] = "f32"
    """Of OpenVINO, in which numbers to compute."""

    def kept_name(self, shape: Shape) -> str:
        """By shape: sizes along z, y and x are constants of the converted model, with which it is fastest."""
        facts = {"shape": list(shape), "conversion": CONVERSION}
        return f"openvino-{digest(openvino=library_version('openvino'), torch=torch.__version__, **facts)}"

    def _compile(self, image: Tensor, arrangement: Arrangement) -> Compiled:
        core = _import_openvino().Core()
        model = self._model(core, image)
        self._adapt(model)
        model.reshape([arrangement.batch, *image.shape[1:]])
        settings = {"INFERENCE_PRECISION_HINT": self.hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        if arrangement.streams == 1:
            settings["PERFORMANCE_HINT"] = "LATENCY"
        else:
            settings["NUM_STREAMS"] = arrangement.streams
        return _CompiledByOpenVino(core.compile_model(model, "CPU", settings), arrangement)

    def float32_model(self, core: Any, image: Tensor) -> Any:
        """The converted model, ``openvino.Model``: read if it is kept, else made and kept."""
        name = OpenVinoNetwork.kept_name(self, tuple(image.shape[1:]))
        if files := self.kept.find(name, SUFFIXES):
            return core.read_model(*files)
        model = _convert(self.network, image)
        self.kept.keep(name, SUFFIXES, lambda path: _save(model, path))
        return model

    def _model(self, core: Any, image: Tensor) -> Any:
        """What is compiled."""
        return self.float32_model(core, image)

    def _adapt(self, model: Any) -> None:
        """Change the converted model, ``openvino.Model``, before it is compiled; what was kept stays as it is."""


class _CompiledByOpenVino(Compiled):
    def __init__(self, compiled: Any, arrangement: Arrangement) -> None:
        self._compiled, self._batch = compiled, arrangement.batch
        self._requests = [compiled.create_infer_request() for _ in range(arrangement.streams)]

    def __call__(self, images: Tensor) -> Tensor:
        tensor = _import_openvino().Tensor
        images = images.contiguous()
        channels = list(self._compiled.output(0).shape)[1:]
        logits = torch.empty((len(images), *channels))
        given, found = images.numpy(), logits.numpy()
        starts = range(0, len(images), self._batch)
        for first in range(0, len(starts), len(self._requests)):
            with ExitStack() as running:  # all are waited for, also if one fails: they write into our memory
                for request, start in zip(self._requests, starts[first : first + len(self._requests)], strict=False):
                    request.set_input_tensor(tensor(given[start : start + self._batch], shared_memory=True))
                    request.set_output_tensor(tensor(found[start : start + self._batch], shared_memory=True))
                    request.start_async()
                    running.callback(request.wait)
        return logits

    def release(self) -> None:
        self._compiled.release_memory()


def _convert(network: nn.Module, image: Tensor) -> Any:
    """OpenVINO's model of the network for a batch of any number of images."""
    openvino = _import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # The front end itself, not openvino.convert_model: that one reports its use over the network.
    with ready_for_tracing():
        rewritten = Logits(rewritten_for_openvino(network)).eval()
        traced = torch.jit.freeze(torch.jit.trace(rewritten, image.clone(), check_trace=False))
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, shared_memory=False)
        given = front_end.load(decoder)
        (place,) = given.get_inputs()
        given.set_element_type(place, openvino.Type.f32)
        given.set_partial_shape(place, openvino.PartialShape([-1, *image.shape[1:]]))
        return front_end.convert(given)


def _save(model: Any, path: Path) -> None:
    _import_openvino().save_model(model, path, compress_to_fp16=False)


def _import_openvino() -> Any:
    """OpenVINO without its telemetry, which would otherwise be imported and opted in."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")
