"""Networks without weights: not drawn, or on torch's ``meta`` device, where tensors have sizes but no values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_INITIALISING = {torch.Tensor.normal_, torch.Tensor.uniform_}
_PASSING = {
    functional.group_norm,
    functional.instance_norm,
    functional.batch_norm,
    functional.layer_norm,
    functional.leaky_relu,
    functional.relu,
    functional.gelu,
}


def without_weights(build: Callable[[], nn.Module]) -> nn.Module:
    """The module that ``build`` builds, on the meta device; drawing weights that do not exist is left out."""
    with torch.device("meta"), without_drawing():
        return build()


def without_drawing() -> TorchFunctionMode:
    """Within this, a network is built without drawing weights, which takes most of the time: they are what memory held."""
    return _Skipping(_INITIALISING)


def only_sizes() -> TorchFunctionMode:
    """Within this, normalisations and activations, which change no size and cost little arithmetic, are left out.

    On the meta device torch takes them apart in Python, which takes many times as long as everything else.
    """
    return _Skipping(_PASSING)


def coarse_arithmetic() -> TorchFunctionMode:
    """Within this, interpolation and LSTMs give tensors of the right size at once.

    On the meta device torch takes them apart in Python as well: an LSTM step by step, which takes seconds. Both are a small
    part of a segmentation network's memory and arithmetic.
    """
    return _Replacing({functional.interpolate: _interpolated, torch.lstm: _lstm})


def _interpolated(
    x: Tensor, size: Sequence[int] | None = None, scale_factor: float | None = None, *_: Any, **__: Any
) -> Tensor:
    sides = size or [round(side * (scale_factor or 1)) for side in x.shape[2:]]
    return x[..., :1, :1, :1].expand(*x.shape[:2], *sides).clone()


def _lstm(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    directions = 2 if rest[4] else 1
    hidden, cells = states
    return x[..., :1].expand(*x.shape[:-1], directions * hidden.shape[-1]).clone(), hidden, cells


class _Skipping(TorchFunctionMode):
    """Calls of some functions return their first argument as it is."""

    def __init__(self, skipped: set[Any]) -> None:
        super().__init__()
        self.skipped = skipped

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in self.skipped:
            return args[0]
        return function(*args, **(kwargs or {}))


class _Replacing(TorchFunctionMode):
    """Calls of some functions go to others."""

    def __init__(self, replaced: dict[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.replaced = replaced

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return self.replaced.get(function, function)(*args, **(kwargs or {}))
