"""Starting from the weights of another model, matched by name and shape (Anand et al., 2020, start from BraTS 2018)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autobrats.errors import UserError
from autobrats.files import write_csv
from autobrats.inference.model_folder import read_model_folder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Match:
    """What became of one tensor.

    Attributes:
        name: of the tensor.
        shape: in the network, or in the file if the network does not have it.
        outcome: ``taken``, or why not.
    """

    name: str
    shape: tuple[int, ...]
    outcome: str

    @property
    def is_taken(self) -> bool:
        return self.outcome == "taken"


def pretrained_file(path: Path, configuration: str) -> Path:
    """The file of weights that ``--pretrained`` means.

    Args:
        path: a file of weights (.safetensors), or a model folder: its first network of that configuration, else its first.

    Raises:
        UserError: if there is nothing of the kind.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path} does not exist; --pretrained takes a model folder or a file weights.safetensors.")
    model = read_model_folder(path)
    members = model.best_config.members
    same = [member for member in members if member.configuration == configuration]
    return model.weights((same or members)[0])


def take_weights(network: nn.Module, file: Path) -> list[Match]:
    """Give a network the tensors of a file that have its tensors' names and shapes; the others stay as they are.

    Raises:
        UserError: if the file cannot be read, or nothing of it fits.
    """
    try:
        given = load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} cannot be read as weights: {error}.") from error
    own = network.state_dict()
    matches = [_match(name, tensor, given) for name, tensor in own.items()]
    matches += [Match(name, tuple(given[name].shape), "not in this network") for name in given if name not in own]
    taken = [match for match in matches if match.is_taken]
    if not taken:
        raise UserError(
            f"{file} has no tensor of a name and shape of this network; it was trained with another architecture."
        )
    with torch.no_grad():
        for match in taken:
            own[match.name].copy_(given[match.name])
    weights = sum(own[match.name].numel() for match in taken) / sum(tensor.numel() for tensor in own.values())
    _log.info("%d of %d tensors (%.0f %% of the weights) are from %s.", len(taken), len(own), 100 * weights, file)
    return matches


def write_matches(path: Path, matches: list[Match]) -> None:
    """A table, CSV: every tensor of the network and of the file, and what became of it."""
    rows = ([match.name, " x ".join(map(str, match.shape)), match.outcome] for match in matches)
    write_csv(path, ["tensor", "shape", "outcome"], rows)


def _match(name: str, tensor: Tensor, given: dict[str, Tensor]) -> Match:
    shape = tuple(tensor.shape)
    if name not in given:
        return Match(name, shape, "not in the file")
    if given[name].shape != tensor.shape:
        return Match(name, shape, f"has another shape in the file: {' x '.join(map(str, given[name].shape))}")
    return Match(name, shape, "taken")
