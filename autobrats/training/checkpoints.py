"""Checkpoints: one safetensors file with weights, optimiser state and, as JSON in its header, everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from autobrats.errors import UserError
from autobrats.files import atomic_path

_HEADER_KEY = "autobrats"


def save_weights(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write a network's weights, and ``about`` (plain data) in the header, atomically."""
    save_tensors(path, network.state_dict(), about)


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors, and ``about`` (plain data) in the header, atomically."""
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(ready, temporary, {_HEADER_KEY: json.dumps(about)})


def load_tensors(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the plain data of a file.

    Raises:
        UserError: if the file is missing, damaged or not ours.
    """
    return _open(path, str(device), with_tensors=True)


def load_facts(path: Path) -> dict[str, Any]:
    """The plain data of a file, without its tensors; raises as :func:`load_tensors`."""
    return _open(path, "cpu", with_tensors=False)[1]


def _open(path: Path, device: str, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt", device=device) as file:
            header = (file.metadata() or {}).get(_HEADER_KEY)
            if header is None:
                raise UserError(f"{path} was not written by autobrats.")
            names = file.keys() if with_tensors else []
            return {name: file.get_tensor(name) for name in names}, json.loads(header)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, or train again with --restart.") from None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and plain data; what it adds to the usual entries is plain data, too."""
    state = optimiser.state_dict()
    tensors: dict[str, Tensor] = {}
    own = {key: value for key, value in state.items() if key not in ("state", "param_groups")}
    plain: dict[str, Any] = {"param_groups": state["param_groups"], "values": {}, "own": own}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                plain["values"][f"{index}.{key}"] = value
    return tensors, plain


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Give an optimiser the state that :func:`optimiser_tensors` took."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *plain["values"].items()]:
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    own = plain.get("own", {})  # absent from older checkpoints
    optimiser.load_state_dict({"state": state, "param_groups": plain["param_groups"], **own})


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ``prefix.name``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that :func:`with_prefix` named, under their own names."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
