"""Convolutions in 8-bit integers for OpenVINO, two to three times as fast on CPUs with integer dot products (VNNI, AMX).

Post-training quantisation as in Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018): weights symmetric for every output channel, activations affine for every
convolution's input, with the ranges that were seen on calibration patches. Everything between the convolutions stays float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FEWEST_CHANNELS = 16
"""A convolution with fewer channels on either side stays in float32: it gains nothing, and first and last layers lose most."""

Range = tuple[float, float]
"""The lowest and the highest value of a convolution's input."""


class ActivationRanges:
    """Records the range of the input of every convolution that can be quantised while a network computes::

        with ActivationRanges(network) as seen:
            network(images)
        ranges = seen.mean()

    Args:
        network: run by torch, on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self._convolutions = [
            module for module in network.modules() if isinstance(module, nn.Conv3d) and _is_wide(module.weight)
        ]
        self._seen: dict[str, list[Range]] = {}

    def __enter__(self) -> ActivationRanges:
        keys = [weights_key(module.weight.detach().cpu().numpy()) for module in self._convolutions]
        self._hooks = [
            module.register_forward_pre_hook(partial(self._look, key))
            for module, key in zip(self._convolutions, keys, strict=True)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def mean(self) -> dict[str, Range]:
        """By :func:`weights_key` of the convolution: the mean over all passes of the lowest and of the highest value."""
        return {
            key: (float(np.mean([low for low, _ in ends])), float(np.mean([high for _, high in ends])))
            for key, ends in self._seen.items()
        }

    def _look(self, key: str, _module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if given[0].is_meta:  # only sizes are asked for
            return
        low, high = torch.aminmax(given[0])
        self._seen.setdefault(key, []).append((float(low), float(high)))


def quantise_convolutions(model: Any, ranges: Mapping[str, Range]) -> int:
    """Put the rounding to 8 bits before every convolution whose range is known; OpenVINO then computes it in integers.

    Args:
        model: ``openvino.Model`` in float32, changed in place.
        ranges: by :func:`weights_key`.

    Returns:
        How many convolutions are in 8 bits now.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convolution":
            continue
        weights = node.input(1).get_source_output()
        if weights.get_node().get_type_name() != "Constant":
            continue
        values = np.asarray(weights.get_node().get_data(), np.float32)
        key = weights_key(values)
        if not _is_wide(values) or key not in ranges:
            continue
        node.input(0).replace_source_output(_rounded_activations(node.input(0).get_source_output(), ranges[key]))
        node.input(1).replace_source_output(_rounded_weights(weights, values))
        count += 1
    return count


def weights_key(weights: np.ndarray) -> str:
    """What a convolution is recognised by in the network and in its converted copy: a hash of its weights."""
    return hashlib.sha256(np.ascontiguousarray(weights, np.float32).tobytes()).hexdigest()[:16]


def _is_wide(weights: Tensor | np.ndarray) -> bool:
    return min(weights.shape[:2]) >= FEWEST_CHANNELS


def _rounded_activations(source: Any, ends: Range) -> Any:
    """To 256 levels, one of which is exactly zero, because convolutions pad with it."""
    low, high = min(0.0, ends[0]), max(0.0, ends[1])
    step = max(high - low, 1e-6) / 255
    zero = round(-low / step)
    return _fake_quantise(source, np.float32(-zero * step), np.float32((255 - zero) * step), 256)


def _rounded_weights(source: Any, values: np.ndarray) -> Any:
    """To -127..127 times a step of each output channel."""
    largest = np.abs(values).reshape(len(values), -1).max(1).reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
    largest = np.maximum(largest, np.float32(1e-12))
    return _fake_quantise(source, -largest, largest, 255)


def _fake_quantise(source: Any, low: np.ndarray | np.float32, high: np.ndarray | np.float32, levels: int) -> Any:
    from openvino import opset13

    ends = [opset13.constant(np.asarray(end, np.float32)) for end in (low, high)]
    return opset13.fake_quantize(source, *ends, *ends, levels).output(0)
