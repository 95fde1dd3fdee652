"""What computes a forward pass: torch anywhere, OpenVINO on CPUs, where it is two to three times as fast."""

from __future__ import annotations

import copy
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
from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis

BackendName = Literal["auto", "torch", "openvino"]

SHAPES_KEPT = 12
"""Compiled shapes that a network keeps; the one used longest ago goes first."""
TOLERANCE = 5e-3
"""Largest difference of a logit, relative to the largest logit of the patch (at least 1), at which OpenVINO is used."""

_log = logging.getLogger(__name__)


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def with_backend(
    network: nn.Module, backend: BackendName, device: torch.device, needs_slices: bool = False
) -> TorchNetwork | OpenVinoNetwork:
    """The network as a function from images, (batch, modality, z, y, x), to logits on the same device.

    Args:
        needs_slices: whether the answer of a slice-classification branch is needed as well, which only torch gives.

    Raises:
        UserError: if OpenVINO is asked for and there is none, or the device is no CPU.
    """
    if backend == "openvino" and device.type != "cpu":
        raise UserError(f"The OpenVINO backend runs on the CPU, not on {device}; say --device cpu or --backend torch.")
    if backend == "openvino" and not openvino_is_installed():
        raise UserError("OpenVINO is not installed; pip install openvino, or say --backend torch.")
    if needs_slices and backend == "openvino":
        _log.warning("The slice-classification branch is run by torch; OpenVINO is not used.")
    if needs_slices or backend == "torch" or device.type != "cpu" or not openvino_is_installed():
        return TorchNetwork(network, device)
    return OpenVinoNetwork(network)


class TorchNetwork:
    """A network run by torch."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self.slice_axis: SliceAxis | None = getattr(network, "slice_axis", None)

    def __call__(self, images: Tensor) -> NetworkOutput:
        return self.network(images)


class OpenVinoNetwork:
    """A network run by OpenVINO, compiled once for every input shape.

    Each compiled shape is compared with torch on its first patch; if the conversion fails or the logits differ, torch
    goes on in its place, and the log says so. The logits of a patch do not depend on what was predicted before.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.cpu().eval()
        self.divisor: tuple[int, int, int] = getattr(network, "divisor", (1, 1, 1))
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._failed = False

    def __call__(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape)
        if shape in self._compiled:
            self._compiled.move_to_end(shape)
            return _infer(self._compiled[shape], images)
        logits = self.network(images).logits
        return logits if self._failed else self._adopt(shape, images, logits)

    def release(self) -> None:
        """Give the memory of activations back, so that several networks do not hold theirs at the same time."""
        for compiled in self._compiled.values():
            compiled.release_memory()

    def _adopt(self, shape: tuple[int, ...], images: Tensor, logits: Tensor) -> Tensor:
        """Compile for this shape and give OpenVINO's logits, or torch's if they are not the same."""
        try:
            compiled = _compile(self.network, images)
            fast = _infer(compiled, images)
        except Exception as error:
            return self._fall_back((str(error).strip() or type(error).__name__).splitlines()[-1], logits)
        difference = float((fast - logits).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(logits.abs().max())):
            return self._fall_back(f"its logits differ from torch's by {difference:.2g}", logits)
        self._compiled[shape] = compiled
        while len(self._compiled) > SHAPES_KEPT:
            self._compiled.popitem(last=False)
        return fast

    def _fall_back(self, reason: str, logits: Tensor) -> Tensor:
        self._failed = True
        self._compiled.clear()
        _log.warning("OpenVINO cannot run this network (%s); torch does it, more slowly.", reason)
        return logits


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


class _InstanceNorm(nn.Module):
    """Group normalisation, written as instance normalisation of its groups."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if norm.num_groups == norm.num_channels:
            return nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        grouped = x.reshape(x.shape[0], norm.num_groups, -1)
        x = nn.functional.instance_norm(grouped, eps=norm.eps).reshape(x.shape)
        if not norm.affine:
            return x
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        return x * norm.weight.reshape(shape) + norm.bias.reshape(shape)


def _without_group_norm(module: nn.Module) -> nn.Module:
    """The module with its group normalisations rewritten: OpenVINO 2026.4 crashes on 3D ones of some sizes."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, _InstanceNorm(child))
        else:
            _without_group_norm(child)
    return module


def _compile(network: nn.Module, images: Tensor) -> Any:
    openvino = _import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # The front end itself, not openvino.convert_model: that one reports its use over the network.
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        network = _without_group_norm(copy.deepcopy(network))
        traced = torch.jit.trace(_Logits(network).eval(), images.clone(), check_trace=False)
        traced = torch.jit.freeze(traced)
        manager = FrontEndManager()
        front_end = manager.load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(
            traced, shared_memory=False
        )  # OpenVINO does not keep it alive, so this name does.
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
