"""Reading and rewiring the layers of an OpenVINO model."""

from __future__ import annotations

from typing import Any

import numpy as np


def constant_value(source: Any) -> np.ndarray | None:
    """The numbers of a layer's input, ``openvino.Output``, if it is a constant."""
    node = source.get_node()
    return np.asarray(node.get_data()) if node.get_type_name() == "Constant" else None


def targets_of(node: Any) -> list[Any]:
    """Which inputs, ``openvino.Input``, take the first output of a layer."""
    return list(node.output(0).get_target_inputs())


def connect(node: Any, targets: list[Any]) -> None:
    """Let inputs take the first output of a layer."""
    for target in targets:
        target.replace_source_output(node.output(0))
