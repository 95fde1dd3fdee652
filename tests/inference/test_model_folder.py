"""A model folder is whole, unchanged and of a known format, or a sentence says what is wrong."""

from __future__ import annotations

import json

import pytest
from bright_model import write_bright_model

from autobrats.errors import UserError
from autobrats.inference.model_folder import TrainedNetwork, read_model_folder, write_model_folder


def _edit(file, **changes):
    content = json.loads(file.read_text())
    content.update(changes)
    file.write_text(json.dumps(content))


def test_what_is_written_is_read(tmp_path, monkeypatch):
    folder = write_bright_model(
        tmp_path / "model", monkeypatch, folds=(0, "all"), expected={"mean_dice": {"mean": 0.8}}, metrics={"a": 1}
    )
    model = read_model_folder(folder)
    assert [member.fold for member in model.best_config.members] == [0, "all"]
    assert model.best_config.expected == {"mean_dice": {"mean": 0.8}}
    assert model.plan.dataset == model.best_config.dataset == "glioma"
    assert all(model.weights(member).is_file() for member in model.best_config.members)
    assert sorted(path.name for path in folder.iterdir()) == [
        "best_config.json",
        "metrics.json",
        "plan.json",
        "weights",
    ]
    folder.rename(tmp_path / "elsewhere")
    read_model_folder(tmp_path / "elsewhere")


def test_an_older_model_is_replaced_and_nothing_else_is(tmp_path, monkeypatch):
    folder = write_bright_model(tmp_path / "here" / "model", monkeypatch, folds=(0, 1))
    write_bright_model(folder, monkeypatch, folds=(3,))
    assert [member.fold for member in read_model_folder(folder).best_config.members] == [3]
    assert not list(folder.glob("weights/*fold_0*"))
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["model"]
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "thesis.tex").write_text("1")
    plan = read_model_folder(folder).plan
    with pytest.raises(UserError, match="is not a model folder and is not replaced"):
        write_model_folder(precious, plan, [])
    with pytest.raises(UserError, match=r"gone\.safetensors does not exist"):
        write_model_folder(folder, plan, [TrainedNetwork("3d_fullres", 0, tmp_path / "gone.safetensors")])
    assert [member.fold for member in read_model_folder(folder).best_config.members] == [3], "the old one stays"


def test_faults_are_named(tmp_path, monkeypatch):
    folder = write_bright_model(tmp_path / "model", monkeypatch)
    best_config, plan = folder / "best_config.json", folder / "plan.json"
    with pytest.raises(UserError, match=r"has no best_config\.json"):
        read_model_folder(tmp_path)
    original = best_config.read_text()
    _edit(best_config, format_version=2, autobrats_version="7.0")
    with pytest.raises(UserError, match=r"has format 2.*update autobrats to 7\.0"):
        read_model_folder(folder)
    best_config.write_text('{"model": "someone else\'s"}')
    with pytest.raises(UserError, match="was not written by autobrats"):
        read_model_folder(folder)
    best_config.write_text(original)
    members = json.loads(original)["members"]
    _edit(best_config, members=[{**members[0], "weights": "../fold_0.safetensors"}])
    with pytest.raises(UserError, match="inside the model folder"):
        read_model_folder(folder)
    best_config.write_text(original)
    text = plan.read_text()
    plan.write_text(text.replace("glioma", "gliomas"))
    with pytest.raises(UserError, match=r"plan\.json is not the file that belongs to this model"):
        read_model_folder(folder)
    plan.write_text(text)
    weights = folder / members[0]["weights"]
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="is not the file that belongs"):
        read_model_folder(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"incomplete: weights/3d_fullres_fold_0\.safetensors is missing"):
        read_model_folder(folder)
