"""Networks by name, and what their channels stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from autobrats import registry
from autobrats.dataset.known_conventions import convention_named, plain_labels
from autobrats.errors import UserError
from autobrats.networks.building import build_network, divisor_of
from autobrats.networks.output import channel_names, region_probabilities

OPTIONS = {"channels": [4, 6], "blocks": [1, 1], "strides": [[1, 1, 1], [1, 2, 2]]}


def test_a_network_is_built_by_name() -> None:
    assert divisor_of(build_network("residual_encoder_unet", OPTIONS, 4, 3)) == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("residual_encoder_unett", OPTIONS, "Did you mean 'residual_encoder_unet'"),
        ("residual_encoder_unet", {**OPTIONS, "depth": 3}, "has no option 'depth'; it takes: blocks, channels"),
        ("residual_encoder_unet", {**OPTIONS, "blocks": [1]}, "cannot be built .*: channels, blocks and strides"),
        ("residual_encoder_unet", {}, "needs the option 'channels'"),
    ],
)
def test_faults_are_told(name: str, options: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_network(name, options, 4, 3)


def test_a_network_must_say_its_divisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find", lambda kind, name: lambda in_channels, out_channels: nn.Conv3d(1, 1, 1))
    with pytest.raises(UserError, match="'divisor'"):
        build_network("plain", {}, 1, 1)


def test_channels_are_named() -> None:
    assert channel_names("regions", convention_named("brats2017")) == ["WT", "TC", "ET"]
    assert channel_names("labels", plain_labels({"liver": 1, "lesion": 2})) == ["background", "liver", "lesion"]


def test_labels_add_up_to_regions() -> None:
    convention = convention_named("brats2017")
    logits = torch.randn(2, 1 + len(convention.labels), 3, 4, 5, generator=torch.Generator().manual_seed(0))
    exponentials = np.exp(logits.numpy().astype(np.float64))
    labels = exponentials / exponentials.sum(1, keepdims=True)
    row = {integer: index + 1 for index, integer in enumerate(convention.labels.values())}
    expected = np.stack([sum(labels[:, row[i]] for i in region) for region in convention.regions.values()], 1)
    np.testing.assert_allclose(region_probabilities(logits, "labels", convention).numpy(), expected, atol=1e-6)


def test_regions_are_sigmoids() -> None:
    logits = torch.tensor([0.0, 2.0, -3.0]).reshape(1, 3, 1, 1, 1)
    probabilities = region_probabilities(logits, "regions", convention_named("brats2017")).flatten().numpy()
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp([0.0, -2.0, 3.0])), rtol=1e-6)
