"""Starting from another model's weights: what is taken, what is told, and that a resumed run is left alone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from training_runs import CPU, At, edit_plan, run_of, stop

from autobrats.errors import UserError
from autobrats.files import read_model
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from autobrats.plan import Part, Plan
from autobrats.training.checkpoints import load_tensors
from autobrats.training.cross_validation import TrainingOptions, train_folds
from autobrats.training.pretrained import pretrained_file, take_weights
from autobrats.workspace import DatasetFolder

Copier = Callable[[DatasetFolder], DatasetFolder]


def options(pretrained: Path | None, restart: bool = False) -> TrainingOptions:
    return TrainingOptions(torch.device("cpu"), loading_threads=0, pretrained=pretrained, restart=restart)


def standing_still(folder: DatasetFolder) -> None:
    """A rate so small that the weights stay where they start."""
    edit_plan(folder, optimiser=Part(name="sgd", options={"learning_rate": 1e-30}), training={"average_decay": None})


def network(out: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, out))


def test_tensors_of_the_same_name_and_shape_are_taken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other, own = network(out=2), network(out=3)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    save_file({**other.state_dict(), "extra": torch.zeros(7)}, tmp_path / "w.safetensors")
    outcome = {match.name: match for match in take_weights(own, tmp_path / "w.safetensors")}
    assert torch.equal(own[0].weight, other[0].weight) and torch.equal(own[0].bias, other[0].bias)
    assert torch.equal(own[1].weight, before["1.weight"])
    assert [name for name, match in outcome.items() if match.is_taken] == ["0.weight", "0.bias"]
    assert outcome["1.weight"].outcome == "has another shape in the file: 2 x 5"
    assert outcome["extra"].outcome == "not in this network" and outcome["extra"].shape == (7,)


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    save_file({"strange": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors has no tensor of a name and shape of this network"):
        take_weights(network(), tmp_path / "w.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"broken\.safetensors cannot be read as weights"):
        take_weights(network(), tmp_path / "broken.safetensors")
    with pytest.raises(UserError, match=r"missing does not exist; --pretrained takes a model folder or a file"):
        pretrained_file(tmp_path / "missing", "3d_fullres")


def test_a_training_starts_from_a_file_or_a_model_folder(
    regions_dataset: DatasetFolder, copy_of: Copier, tmp_path: Path
) -> None:
    source, from_file, from_folder = (copy_of(regions_dataset) for _ in range(3))
    train_folds(source, "3d_fullres", ["0"], options(None))
    weights = run_of(source).weights_file
    plan = read_model(source.plan_file, Plan)
    model = write_model_folder(tmp_path / "model", plan, [TrainedNetwork("3d_fullres", 0, weights)])
    for folder, given in ((from_file, weights), (from_folder, model.path)):
        standing_still(folder)
        train_folds(folder, "3d_fullres", ["1"], options(given))
        run = run_of(folder, "1")
        expected = load_file(weights)
        found = load_tensors(run.weights_file)[0]
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        rows = list(csv.DictReader(run.pretrained_table.read_text().splitlines()))
        assert {row["outcome"] for row in rows} == {"taken"} and len(rows) == len(expected)
        assert run.read_manifest()["pretrained"].endswith(".safetensors")


def test_a_run_that_goes_on_keeps_what_it_has_learnt(
    regions_dataset: DatasetFolder,
    copy_of: Copier,
    hook_in: Callable,
) -> None:
    source, tiny = copy_of(regions_dataset), copy_of(regions_dataset)
    train_folds(source, "3d_fullres", ["0"], options(None))
    hook_in(At(3, stop))
    train_folds(tiny, "3d_fullres", ["1"], CPU)
    hook_in(None)
    train_folds(tiny, "3d_fullres", ["1"], options(run_of(source).weights_file))
    assert not run_of(tiny, "1").pretrained_table.is_file()
    assert load_tensors(run_of(tiny, "1").checkpoint_file)[1]["iteration"] == 6


def test_restart_starts_from_them(regions_dataset: DatasetFolder, copy_of: Copier) -> None:
    source, tiny = copy_of(regions_dataset), copy_of(regions_dataset)
    train_folds(source, "3d_fullres", ["0"], options(None))
    train_folds(tiny, "3d_fullres", ["1"], options(None))
    standing_still(tiny)
    train_folds(tiny, "3d_fullres", ["1"], options(run_of(source).weights_file, restart=True))
    expected, found = load_file(run_of(source).weights_file), load_tensors(run_of(tiny, "1").weights_file)[0]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
