"""From the backend that a user asks for to a network that computes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from autobrats.errors import UserError
from autobrats.inference.backends.arrangements import CpuBackend
from autobrats.inference.backends.chosen_network import ChosenNetwork, Probes
from autobrats.inference.backends.int8_network import Int8Network
from autobrats.inference.backends.kept_models import KeptModels
from autobrats.inference.backends.onnx_network import check_onnx_is_installed, missing_onnx_packages
from autobrats.inference.backends.openvino_network import openvino_is_installed
from autobrats.inference.backends.torch_network import TorchNetwork
from autobrats.inference.int8 import Range

BackendName = Literal["auto", "torch", "openvino", "onnx"]

_log = logging.getLogger(__name__)


def cpu_backends(backend: BackendName) -> list[CpuBackend]:
    """The libraries between which a choice is open on a CPU."""
    if backend != "auto":
        return [backend]
    found: list[CpuBackend] = ["torch"]
    if openvino_is_installed():
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
    int8: Mapping[str, Range] | None = None,
) -> TorchNetwork | ChosenNetwork | Int8Network:
    """The network as a function from images, (batch, modality, z, y, x), to logits on the same device.

    Args:
        backend: ``auto`` takes what is measured to be fastest on a CPU.
        needs_slices: whether the answer of a slice-classification branch is needed as well, which only torch gives.
        probes: shared by the networks of one architecture, of the backends that :func:`cpu_backends` gives.
        kept: where converted models are kept.
        int8: the ranges with which OpenVINO computes in 8 bits; None for float32.

    Raises:
        UserError: if a library is asked for that is not there, or the device is no CPU.
    """
    if int8 is not None:
        _check_int8(backend, device, needs_slices)
        return Int8Network(network, int8, kept)
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


def _check_int8(backend: BackendName, device: torch.device, needs_slices: bool) -> None:
    """UserError where there is no prediction in 8 bits."""
    if device.type != "cpu":
        raise UserError(f"8 bits are for CPUs, not for {device}; say --device cpu, or leave --precision int8 out.")
    if backend in ("torch", "onnx"):
        raise UserError(f"8 bits are computed by OpenVINO; leave --backend {backend} or --precision int8 out.")
    if not openvino_is_installed():
        raise UserError("8 bits are computed by OpenVINO, which is not installed; pip install openvino.")
    if needs_slices:
        raise UserError(
            "There are no 8 bits for a network with a slice-classification branch: torch runs it, in float32."
        )
