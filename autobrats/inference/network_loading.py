"""The networks of a model folder, with their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from autobrats.errors import UserError
from autobrats.inference.model_folder import Member, ModelFolder, read_model_folder
from autobrats.networks.building import build_network, check_patch_size
from autobrats.networks.output import channel_names
from autobrats.planning.weightless import without_drawing


def load_network(model: ModelFolder, member: Member) -> nn.Module:
    """Build a member's network and read its weights: on the CPU, in evaluation mode.

    The weights are the file itself, mapped into memory: what another library computes with converted ones takes no memory
    for these.

    Raises:
        UserError: if its patch does not pass through it, or the weights are those of another network.
    """
    from safetensors.torch import load_file

    file = model.weights(member)
    configuration = model.plan.configurations[member.configuration]
    channels = channel_names(configuration.output, model.plan.convention)
    part = configuration.network
    with without_drawing():  # all weights are read
        network = build_network(part.name, part.options, len(configuration.modalities), len(channels))
    key = f"configurations.{member.configuration}.inference.patch_size"
    check_patch_size(network, key, configuration.inference.patch_size)
    try:
        network.load_state_dict(load_file(file), assign=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file} does not fit the network '{part.name}' of {member.configuration}: {reason}") from error
    return network.float().eval()


def logits_of(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Torch's logits, (batch, channel, z, y, x), of images, float32 (batch, modality, z, y, x)."""
    with torch.inference_mode():
        return network(torch.from_numpy(images)).logits.numpy()


class TorchLogits:
    """The logits of a model folder's networks, by torch.

    Args:
        model: the model folder, or where it lies.
    """

    def __init__(self, model: ModelFolder | Path) -> None:
        self.model = model if isinstance(model, ModelFolder) else read_model_folder(Path(model))

    def __call__(self, configuration: str, fold: int | str, images: np.ndarray) -> np.ndarray:
        """The logits, (batch, channel, z, y, x), of images, (batch, modality, z, y, x)."""
        for member in self.model.best_config.members:
            if (member.configuration, member.fold) == (configuration, fold):
                return logits_of(load_network(self.model, member), images)
        raise UserError(f"{self.model.path} has no network {configuration} fold {fold}.")
