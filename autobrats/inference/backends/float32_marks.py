"""OpenVINO models of which some layers may compute in bfloat16, and all others keep float32.

The hint ``bf16`` lowers every layer that is not marked. Only the file's format can hold a mark, and a layer loses it where
OpenVINO replaces it by others; so such layers are first written in the ones that OpenVINO computes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autobrats.inference.backends.openvino_graph import connect, constant_value, targets_of

BOUND = 1e30
"""Of a clamp that changes nothing: OpenVINO fuses it with a convolution, whose sums then stay float32."""


def write_in_lasting_layers(model: Any) -> None:
    """Rewrite what would lose its mark; ``openvino.Model`` with fixed sizes, changed in place."""
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(model)
    for node in model.get_ordered_ops():
        rewrite, targets = _REWRITTEN.get(node.get_type_name()), targets_of(node)
        if rewrite is not None and (rewritten := rewrite(node)) is not None:
            connect(rewritten, targets)
    model.validate_nodes_and_infer_types()


def flatten_concatenations(model: Any) -> None:
    """The same for what is put together in several steps: to be called last, when it is known what uses a step's result."""
    for node in model.get_ordered_ops():
        targets = targets_of(node)
        if node.get_type_name() == "Concat" and (flat := _flat_concatenation(node)) is not None:
            connect(flat, targets)
    model.validate_nodes_and_infer_types()


def save_marked(model: Any, path: Path, free: str) -> None:
    """Write a model as ``NAME.xml`` and ``NAME.bin``; all layers are marked but those whose names begin with ``free``."""
    import openvino

    openvino.save_model(model, path, compress_to_fp16=False)
    tree = ElementTree.parse(path)
    for layer in tree.iter("layer"):
        if layer.get("type") in ("Parameter", "Const", "Result") or str(layer.get("name")).startswith(free):
            continue
        marks = layer.find("rt_info")
        if marks is None:
            marks = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, marks)
        ElementTree.SubElement(marks, "attribute", {"name": "precise", "version": "0"})
    tree.write(path)


def difference(one: Any, other: Any) -> Any:
    """``one - other`` in layers that keep their mark."""
    from openvino import opset13

    return opset13.add(one, opset13.multiply(other, opset13.constant(np.float32(-1))))


def _leaky_relu(node: Any) -> Any | None:
    from openvino import opset13

    source, slope = node.input_value(0), constant_value(node.input_value(1))
    if slope is None or slope.size != 1:
        return None
    slope = slope.reshape(())
    below = opset13.multiply(source, opset13.constant(np.float32(slope)))
    return opset13.add(below, opset13.multiply(opset13.relu(source), opset13.constant(np.float32(1 - slope))))


def _plain_pooling(node: Any) -> Any | None:
    """The same in the operations that OpenVINO computes, which later ones would be rewritten to; None if they differ."""
    from openvino import opset1

    source, settings = node.input_value(0), node.get_attributes()
    names = ("strides", "pads_begin", "pads_end", "kernel")
    strides, begin, end, kernel = ([int(value) for value in list(settings[name])] for name in names)
    rounding = settings["rounding_type"]
    if rounding == "ceil_torch":
        sizes = [side.get_length() for side in list(source.get_partial_shape())[2:]]
        if any(begin) or any(end) or any((a - b) % c for a, b, c in zip(sizes, kernel, strides, strict=True)):
            return None
        rounding = "floor"
    if node.get_type_name() == "AvgPool":
        return opset1.avg_pool(source, strides, begin, end, kernel, settings["exclude-pad"], rounding)
    if any(value != 1 for value in list(settings["dilations"])) or node.output(1).get_target_inputs():
        return None
    return opset1.max_pool(source, strides, begin, end, kernel, rounding)


def _plain_interpolation(node: Any) -> Any | None:
    """The same as :func:`_plain_pooling`."""
    from openvino import opset13
    from openvino.utils.node_factory import NodeFactory

    settings = node.get_attributes()
    axes = constant_value(node.input_value(2)) if node.get_input_size() == 3 else None
    wanted = constant_value(node.input_value(1))
    if axes is None or wanted is None:
        return None
    sizes = np.array([node.output(0).get_partial_shape()[int(axis)].get_length() for axis in axes])
    scales = wanted if settings["shape_calculation_mode"] == "scales" else np.ones(len(axes), np.float32)
    given = [opset13.constant(value).output(0) for value in (sizes, scales, axes)]
    return NodeFactory("opset4").create("Interpolate", [node.input_value(0), *given], settings)


def _flat_concatenation(node: Any) -> Any | None:
    """Of parts that were themselves put together for nothing else; None if there are none."""
    from openvino import opset13

    axis, nested = node.get_attributes()["axis"], False
    parts: list[Any] = []
    for index in range(node.get_input_size()):
        part = node.input_value(index)
        inner = part.get_node()
        if inner.get_type_name() == "Concat" and inner.get_attributes()["axis"] == axis and len(targets_of(inner)) == 1:
            parts += [inner.input_value(position) for position in range(inner.get_input_size())]
            nested = True
        else:
            parts.append(part)
    return opset13.concat(parts, axis) if nested else None


def _held(node: Any) -> Any | None:
    """A convolution into whose weights OpenVINO would multiply a constant that follows, with a clamp between them."""
    from openvino import opset13

    follower, targets = node, targets_of(node)
    while len(targets) == 1 and (follower := targets[0].get_node()).get_type_name() == "Add":
        targets = targets_of(follower)
    if follower.get_type_name() != "Multiply":
        return None
    return opset13.clamp(node, -BOUND, BOUND)


_REWRITTEN: dict[str, Callable[[Any], Any | None]] = {
    "AvgPool": _plain_pooling,
    "Convolution": _held,
    "GroupConvolution": _held,
    "Interpolate": _plain_interpolation,
    "MaxPool": _plain_pooling,
    "PRelu": _leaky_relu,
}
"""Layers that OpenVINO replaces by others without their mark, unless they are written in its simpler ones."""
