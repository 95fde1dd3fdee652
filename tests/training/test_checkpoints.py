"""Checkpoints come back as they were; anything else is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autobrats.errors import UserError
from autobrats.training.checkpoints import (
    load_facts,
    load_tensors,
    optimiser_tensors,
    restore_optimiser,
    save_tensors,
    save_weights,
    with_prefix,
    without_prefix,
)
from autobrats.training.optimisers import adamw, sgd

ABOUT = {"iteration": 7, "history": [{"loss": 0.25, "learning_rate": 1e-3}], "text": "tumour – µm", "none": None}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(2, 4, 3), nn.GroupNorm(4, 4), nn.Conv3d(4, 1, 1))


def step(model: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimiser.zero_grad()
    model(torch.randn(2, 2, 5, 5, 5)).square().mean().backward()
    optimiser.step()


def test_tensors_and_facts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    tensors = {
        "whole": torch.arange(5),
        "half": torch.randn(3).to(torch.bfloat16),
        "strided": torch.randn(4, 6).t(),
        "scalar": torch.tensor(3.5),
    }
    tensors["shared"] = tensors["scalar"]
    save_tensors(path, tensors, ABOUT)
    loaded, about = load_tensors(path)
    assert about == ABOUT == load_facts(path)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.safetensors"]


def test_weights_come_back(tmp_path: Path) -> None:
    save_weights(tmp_path / "weights.safetensors", network(), ABOUT)
    other = network(seed=1)
    other.load_state_dict(load_tensors(tmp_path / "weights.safetensors")[0])
    assert all(torch.equal(a, b) for a, b in zip(network().parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_a_damaged_file_is_told(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.randn(200)}, ABOUT)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=r"file\.safetensors is damaged"):
        load_tensors(path)


def test_a_missing_file_and_one_of_somebody_else_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_tensors(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="not written by autobrats"):
        load_tensors(tmp_path / "other.safetensors")


@pytest.mark.parametrize("build", [adamw, sgd])
def test_an_optimiser_goes_on_where_it_was(tmp_path: Path, build) -> None:
    model = network()
    optimiser = build(model, learning_rate=0.01)
    for seed in range(3):
        step(model, optimiser, seed)
    tensors, plain = optimiser_tensors(optimiser)
    save_tensors(tmp_path / "a.safetensors", {**tensors, **with_prefix("network", model.state_dict())}, plain)

    loaded, plain = load_tensors(tmp_path / "a.safetensors")
    other = network(seed=1)
    other.load_state_dict(without_prefix("network", loaded))
    resumed = build(other, learning_rate=0.5)
    restore_optimiser(resumed, {n: t for n, t in loaded.items() if not n.startswith("network.")}, plain)
    assert resumed.param_groups[0]["lr"] == 0.01
    for seed in range(3, 6):
        step(model, optimiser, seed)
        step(other, resumed, seed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_prefixes() -> None:
    tensors = with_prefix("network", {"a.b": torch.ones(1)})
    assert list(tensors) == ["network.a.b"]
    assert list(without_prefix("network", {**tensors, "networks.c": torch.ones(1)})) == ["a.b"]


def test_weight_decay_is_for_kernels_only() -> None:
    model = network()
    for optimiser in (adamw(model, 0.1, weight_decay=0.3), sgd(model, 0.1, weight_decay=0.3)):
        decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
        assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
            "0.weight": 0.3, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "2.weight": 0.3, "2.bias": 0.0,
        }  # fmt: skip
