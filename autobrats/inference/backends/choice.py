"""From the backend that a user asks for to a network that computes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from autobrats.devices import computes_bfloat16
from autobrats.errors import UserError
from autobrats.inference.backends.arrangements import CpuBackend
from autobrats.inference.backends.chosen_network import ChosenNetwork, Probes
from autobrats.inference.backends.kept_models import KeptModels
from autobrats.inference.backends.onnx_network import check_onnx_is_installed, missing_onnx_packages
from autobrats.inference.backends.openvino_network import openvino_computes_bfloat16, openvino_is_installed
from autobrats.inference.backends.rounded_network import Bfloat16Network, Int8Network, RoundedNetwork
from autobrats.inference.backends.torch_network import TorchNetwork
from autobrats.inference.int8 import Range
from autobrats.inference.precision import IN_WORDS, Precision, RoundedPrecision

BackendName = Literal["auto", "torch", "openvino", "onnx"]

_log = logging.getLogger(__name__)


def cpu_backends(backend: BackendName) -> list[CpuBackend]:
    """The ways of computing between which a choice is open on a CPU; a library that is asked for is the only one."""
    if backend != "auto":
        return [backend]
    found: list[CpuBackend] = ["torch"]
    if openvino_is_installed():
        if computes_bfloat16(torch.device("cpu")):
            found.append("bf16x3")
        found.append("openvino")
    if not missing_onnx_packages():
        found.append("onnx")
    return found


def with_backend(
    network: nn.Module,
    backend: BackendName,
    device: torch.device,
    needs_slices: bool = False,
    *,
    probes: Probes | None = None,
    kept: KeptModels | None = None,
    precision: Precision = "float32",
    ranges: Mapping[str, Range] | None = None,
) -> TorchNetwork | ChosenNetwork | RoundedNetwork:
    """The network as a function from images, (batch, modality, z, y, x), to logits on the same device.

    Args:
        backend: ``auto`` takes what is measured to be fastest on a CPU.
        needs_slices: whether the answer of a slice-classification branch is needed as well, which only torch gives.
        probes: shared by the networks of one architecture, of the backends that :func:`cpu_backends` gives.
        kept: where converted models are kept.
        precision: of a CPU's convolutions; OpenVINO computes what is not float32.
        ranges: of the convolutions' inputs, for ``int8``.

    Raises:
        UserError: if a library is asked for that is not there, the device is no CPU, or the processor has no bfloat16.
    """
    if precision != "float32":
        _check_rounded(precision, backend, device, needs_slices)
        return Bfloat16Network(network, kept) if precision == "bf16" else Int8Network(network, ranges or {}, kept)
    titles = {"openvino": "OpenVINO", "onnx": "ONNX"}
    if backend in titles and device.type != "cpu":
        raise UserError(
            f"The {titles[backend]} backend runs on the CPU, not on {device}; say --device cpu or --backend torch."
        )
    if backend == "openvino" and not openvino_is_installed():
        raise UserError("OpenVINO is not installed; pip install openvino, or say --backend torch.")
    if backend == "onnx":
        check_onnx_is_installed()
    if needs_slices and backend in titles:
        _log.warning("The slice-classification branch is run by torch; %s is not used.", titles[backend])
    if needs_slices or device.type != "cpu" or cpu_backends(backend) == ["torch"]:
        return TorchNetwork(network, device)
    return ChosenNetwork(network, probes or Probes(cpu_backends(backend)), kept)


def _check_rounded(precision: RoundedPrecision, backend: BackendName, device: torch.device, needs_slices: bool) -> None:
    """UserError where there is no prediction in so few digits."""
    words = IN_WORDS[precision]
    option = f"--precision {precision}"
    if device.type != "cpu":
        raise UserError(
            f"Predicting in {words} is for CPUs, not for {device}; say --device cpu, or leave {option} out."
        )
    if backend in ("torch", "onnx"):
        raise UserError(f"OpenVINO predicts in {words}; leave --backend {backend} or {option} out.")
    if not openvino_is_installed():
        raise UserError(f"OpenVINO predicts in {words}, and is not installed; pip install openvino.")
    if needs_slices:
        raise UserError(
            f"A network with a slice-classification branch does not predict in {words}: torch runs it, in float32."
        )
    if precision == "bf16" and not openvino_computes_bfloat16():
        raise UserError(f"This processor has no instructions for {words} (AMX, AVX-512 BF16); leave {option} out.")
