"""What computes a forward pass: torch anywhere, OpenVINO on CPUs, where it is two to three times as fast."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import warnings
from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from autobrats.errors import UserError

BackendName = Literal["auto", "torch", "openvino"]

PASSES_BEFORE_CONVERSION = 2
"""Passes of one input shape that ``auto`` leaves to torch: fewer cost less than the conversion."""
SHAPES_KEPT = 4
"""Compiled shapes that a network keeps; the one used longest ago goes first."""
TOLERANCE = 5e-3
"""Largest difference of a logit, relative to the largest logit of the patch (at least 1), at which OpenVINO is used."""

_log = logging.getLogger(__name__)


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def with_backend(network: nn.Module, backend: BackendName, device: torch.device) -> TorchNetwork | OpenVinoNetwork:
    """The network as a function from images, (batch, modality, z, y, x), to logits on the same device.

    Raises:
        UserError: if OpenVINO is asked for and there is none, or the device is no CPU.
    """
    if backend == "openvino" and device.type != "cpu":
        raise UserError(f"The OpenVINO backend runs on the CPU, not on {device}; say --device cpu or --backend torch.")
    if backend == "openvino" and not openvino_is_installed():
        raise UserError("OpenVINO is not installed; pip install openvino, or say --backend torch.")
    if backend == "torch" or device.type != "cpu" or not openvino_is_installed():
        return TorchNetwork(network, device)
    return OpenVinoNetwork(network, 0 if backend == "openvino" else PASSES_BEFORE_CONVERSION)


class TorchNetwork:
    """A network run by torch."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))

    def __call__(self, images: Tensor) -> Tensor:
        return self.network(images).logits


class OpenVinoNetwork:
    """A network run by OpenVINO, compiled for every input shape that comes often enough.

    Each compiled shape is compared with torch on its first patch; if the conversion fails or the logits differ, torch
    goes on in its place, and the log says so.
    """

    def __init__(self, network: nn.Module, passes_before_conversion: int = 0) -> None:
        self.network = network.cpu().eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self._wait = passes_before_conversion
        self._seen: dict[tuple[int, ...], int] = {}
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._failed = False

    def __call__(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape)
        if shape in self._compiled:
            self._compiled.move_to_end(shape)
            return _infer(self._compiled[shape], images)
        logits = self.network(images).logits
        self._seen[shape] = self._seen.get(shape, 0) + 1
        if not self._failed and self._seen[shape] > self._wait:
            self._adopt(shape, images, logits)
        return logits

    def release(self) -> None:
        """Give the memory of activations back, so that several networks do not hold theirs at the same time."""
        for compiled in self._compiled.values():
            compiled.release_memory()

    def _adopt(self, shape: tuple[int, ...], images: Tensor, logits: Tensor) -> None:
        try:
            compiled = _compile(self.network, images)
            difference = float((_infer(compiled, images) - logits).abs().max())
        except Exception as error:
            self._fall_back((str(error).strip() or type(error).__name__).splitlines()[-1])
            return
        if not difference <= TOLERANCE * max(1.0, float(logits.abs().max())):
            self._fall_back(f"its logits differ from torch's by {difference:.2g}")
            return
        self._compiled[shape] = compiled
        while len(self._compiled) > SHAPES_KEPT:
            self._compiled.popitem(last=False)

    def _fall_back(self, reason: str) -> None:
        self._failed = True
        _log.warning("OpenVINO cannot run this network (%s); torch does it, more slowly.", reason)


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


def _compile(network: nn.Module, images: Tensor) -> Any:
    openvino = _import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # The front end itself, not openvino.convert_model: that one reports its use over the network.
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(_Logits(network).eval(), images.clone(), check_trace=False)
        traced = torch.jit.freeze(traced)
        manager = FrontEndManager()
        front_end = manager.load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # OpenVINO does not keep it alive, so this name does.
        given = front_end.load(decoder)
        (place,) = given.get_inputs()
        given.set_element_type(place, openvino.Type.f32)
        given.set_partial_shape(place, openvino.PartialShape(list(images.shape)))
        model = front_end.convert(given)
    return openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        },
    )


def _import_openvino() -> Any:
    """OpenVINO without its telemetry, which would otherwise be imported and opted in."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def _infer(compiled: Any, images: Tensor) -> Tensor:
    return torch.from_numpy(compiled(images.contiguous().numpy())[0].copy())
