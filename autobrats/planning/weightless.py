"""Networks without weights: on torch's ``meta`` device, where tensors have sizes but no values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
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
    with torch.device("meta"), _Skipping(_INITIALISING):
        return build()


def only_sizes() -> TorchFunctionMode:
    """Within this, normalisations and activations, which change no size and cost little arithmetic, are left out.

    On the meta device torch takes them apart in Python, which takes many times as long as everything else.
    """
    return _Skipping(_PASSING)


class _Skipping(TorchFunctionMode):
    """Calls of some functions return their first argument as it is."""

    def __init__(self, skipped: set[Any]) -> None:
        super().__init__()
        self.skipped = skipped

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in self.skipped:
            return args[0]
        return function(*args, **(kwargs or {}))
