"""Convolutions of float32 numbers as three products of bfloat16 ones, for processors that multiply those far faster.

A number is split in two that bfloat16 holds, x = high + low, which together keep 16 of its 24 bits; then
x w = high(x) high(w) + high(x) low(w) + low(x) high(w), but for a product of 2^-16 of it, and sums are float32: BF16x3 (Henry,
Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations, ARITH 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import nn

from autobrats.inference.backends.float32_marks import BOUND, difference
from autobrats.inference.backends.openvino_graph import connect, constant_value, targets_of

FEWEST_INPUTS, FEWEST_OUTPUTS = 32, 16
"""Channels of a convolution that gains: AMX multiplies tiles of 32 inputs by 16 outputs."""
SPLIT = "bf16x3/"
"""How the names of the layers begin that may compute in bfloat16."""


def has_wide_convolutions(network: nn.Module) -> bool:
    """Whether a network has convolutions that gain."""
    return any(isinstance(module, nn.Conv3d) and _gains(module.weight.shape) for module in network.modules())


def split_convolutions(model: Any) -> int:
    """Write every convolution with enough channels as three, whose names begin with :data:`SPLIT`.

    Args:
        model: ``openvino.Model`` in float32 with fixed sizes, changed in place.

    Returns:
        How many convolutions were split.
    """
    halves: dict[tuple[str, int], tuple[Any, Any]] = {}
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convolution":
            continue
        weights, targets = constant_value(node.input_value(1)), targets_of(node)
        if weights is not None and _gains(weights.shape):
            connect(_three_convolutions(node, weights, halves, f"{SPLIT}{count}"), targets)
            count += 1
    model.validate_nodes_and_infer_types()
    return count


def _gains(weights: tuple[int, ...]) -> bool:
    """By the shape of the weights, (output, input, z, y, x); a kernel of one voxel is read as fast as it is multiplied."""
    return weights[0] >= FEWEST_OUTPUTS and weights[1] >= FEWEST_INPUTS and any(side > 1 for side in weights[2:])


def _three_convolutions(
    node: Any, weights: np.ndarray, halves: dict[tuple[str, int], tuple[Any, Any]], name: str
) -> Any:
    from openvino import opset13

    settings = node.get_attributes()
    total = None
    for index, (source, part) in enumerate(_parts(node.input_value(0), weights)):
        key = (source.get_node().get_friendly_name(), source.get_index())
        if key not in halves:
            halves[key] = _halves(source)
        high, low = halves[key]
        upper, rest = _rounded(part)
        upper_weights, rest_weights = _bfloat16_constant(upper), _bfloat16_constant(rest)
        for which, (images, kernel) in enumerate(((high, upper_weights), (high, rest_weights), (low, upper_weights))):
            product = opset13.convolution(
                images,
                kernel,
                settings["strides"],
                settings["pads_begin"],
                settings["pads_end"],
                settings["dilations"],
                settings["auto_pad"],
            )
            product.set_friendly_name(f"{name}/{index}/{which}")
            total = opset13.clamp(product, -BOUND, BOUND) if total is None else opset13.add(product, total)
    return total


def _parts(source: Any, weights: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """A convolution of what was put together is a sum over the parts, which then need not be put together."""
    node = source.get_node()
    inputs = [node.input_value(index) for index in range(node.get_input_size())]
    if node.get_type_name() == "Concat" and node.get_attributes()["axis"] == 1:
        sizes = [given.get_partial_shape()[1].get_length() for given in inputs]
        if min(sizes) >= FEWEST_INPUTS:
            yield from zip(inputs, np.split(weights, np.cumsum(sizes)[:-1], axis=1), strict=True)
            return
    yield source, weights


def _halves(source: Any) -> tuple[Any, Any]:
    """What a convolution in bfloat16 rounds, and what it takes away by that."""
    from openvino import opset13

    rounded = opset13.convert(opset13.convert(source, "bf16"), "f32")
    return source, difference(source, rounded)


def _rounded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights rounded to bfloat16, and what that takes away, rounded as well; as their bits, uint16."""
    values = np.ascontiguousarray(values, np.float32)
    high = _to_bfloat16(values)
    return high, _to_bfloat16(values - _from_bfloat16(high))


def _to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Of finite float32 numbers the nearest of bfloat16, ties to even, as its bits."""
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _bfloat16_constant(bits: np.ndarray) -> Any:
    """In the file they take as much room as float32 without the split."""
    import openvino
    from openvino import opset13

    tensor = openvino.Tensor(openvino.Type.bf16, list(bits.shape))
    tensor.data.view(np.uint16)[...] = bits
    return opset13.convert(opset13.constant(tensor), "f32")
