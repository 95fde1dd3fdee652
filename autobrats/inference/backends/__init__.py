"""What computes a forward pass: torch anywhere; on a CPU OpenVINO or ONNX Runtime, where one of them is faster."""

from autobrats.inference.backends.choice import BackendName, cpu_backends, with_backend
from autobrats.inference.backends.chosen_network import ChosenNetwork, Probes
from autobrats.inference.backends.kept_models import CONVERTED, KeptModels
from autobrats.inference.backends.memory_estimate import estimate_memory_gib
from autobrats.inference.backends.openvino_network import (
    OpenVinoNetwork,
    openvino_computes_bfloat16,
    openvino_is_installed,
)
from autobrats.inference.backends.rounded_network import Bfloat16Network, Int8Network, RoundedNetwork
from autobrats.inference.backends.torch_network import TorchNetwork

__all__ = [
    "CONVERTED",
    "BackendName",
    "Bfloat16Network",
    "ChosenNetwork",
    "Int8Network",
    "KeptModels",
    "OpenVinoNetwork",
    "Probes",
    "RoundedNetwork",
    "TorchNetwork",
    "cpu_backends",
    "estimate_memory_gib",
    "openvino_computes_bfloat16",
    "openvino_is_installed",
    "with_backend",
]
