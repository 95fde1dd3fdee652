"""An ONNX export stands by itself: its script proves it, its description says all that is done around the networks."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from bright_model import Bright, write_bright_model

from autobrats import registry
from autobrats.commands.export_model import main
from autobrats.errors import UserError
from autobrats.inference.model_folder import read_model_folder
from autobrats.inference.onnx_description import describe
from autobrats.inference.onnx_export import export_onnx
from autobrats.plan import Part

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_the_script_proves_that_the_networks_are_torch_s(tmp_path, monkeypatch, capsys):
    model = write_bright_model(tmp_path / "model", monkeypatch, folds=(0, 1))
    out = tmp_path / "onnx"
    assert main([str(model), "--onnx", "-o", str(out)]) == 0
    assert "3d_fullres_fold_1.onnx: torch's logits up to" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "3d_fullres_fold_0.onnx",
        "3d_fullres_fold_1.onnx",
        "README.md",
        "check.npz",
        "check.py",
        "preprocessing.json",
    ]
    assert main([str(model), "--onnx", "-o", str(out)]) == 2 and "--force" in capsys.readouterr().err
    assert main([str(model), "--onnx", "-o", str(out), "--force"]) == 0

    stored = dict(np.load(out / "check.npz"))
    stored["3d_fullres_fold_1.onnx/logits_0"][0, 0, 0, 0, 0] += 1000
    np.savez(out / "check.npz", **stored)
    code = "import sys; sys.modules['torch'] = sys.modules['autobrats'] = None; sys.path.insert(0, sys.argv[1])\n"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}import check; sys.exit(check.main([]))", str(out)],
        capture_output=True,
        text=True,
    )
    said = ran.stdout.splitlines()
    assert ran.returncode == 1, ran.stderr
    assert "fold_0.onnx: equal" in said[0] and "fold_1.onnx: DIFFERENT" in said[1]


def test_everything_outside_the_networks_is_written_down(tmp_path, monkeypatch):
    model, _ = export_onnx(write_bright_model(tmp_path / "model", monkeypatch), tmp_path / "onnx")
    said = json.loads((tmp_path / "onnx" / "preprocessing.json").read_text())
    configuration = said["configurations"]["3d_fullres"]
    assert said["modalities"] == configuration["channels"] == ["t1n", "t1c", "t2w", "t2f"]
    assert said["spacing_mm"] == [1, 1, 1] and said["normalisation"]["t1c"]["method"] == "zscore"
    assert configuration["logits"] == ["WT", "TC", "ET"] and configuration["window"]["overlap"] == 0.5
    assert configuration["window"]["size"] == [32, 32, 32] and configuration["window"]["multiples_of"] == [4, 4, 4]
    assert configuration["networks"][0]["window_sizes"] == "any multiples"
    assert dict(said["labels"]["paint"]) == dict(model.plan.convention.paint)
    for member, network in zip(model.best_config.members, configuration["networks"], strict=True):
        assert network["sha256_of_weights"] == member.sha256 and network["weight"] == member.weight


def test_what_is_averaged_is_written_down(tmp_path, monkeypatch):
    model = read_model_folder(write_bright_model(tmp_path / "model", monkeypatch))
    inference = model.plan.configurations["3d_fullres"].inference
    for average in ("probabilities", "logits"):
        inference.mirror_average = average
        said = describe(model, {"3d_fullres": []}, {"3d_fullres": (4, 4, 4)})["configurations"]["3d_fullres"]
        assert said["average"]["of"] == average and "at least 1e-12" in said["window"]["weights"]


class Fixed(Bright):
    """Takes windows of one size."""

    def forward(self, images):
        if tuple(images.shape[2:]) != (32, 32, 32):
            raise ValueError("32 voxels along every side.")
        return super().forward(images)


class Unwritable(Bright):
    def forward(self, images):
        raise ValueError("not today.")


def test_a_network_of_one_size_is_written_for_that_size(tmp_path, monkeypatch):
    model = write_bright_model(tmp_path / "model", monkeypatch, folds=(0,))
    monkeypatch.setitem(registry._OUR_PARTS["network"], "bright", f"{__name__}:Fixed")
    _, differences = export_onnx(model, tmp_path / "onnx")
    assert max(differences.values()) < 1e-3
    said = json.loads((tmp_path / "onnx" / "preprocessing.json").read_text())
    assert said["configurations"]["3d_fullres"]["networks"][0]["window_sizes"] == "[32, 32, 32] only, one at a time"
    monkeypatch.setitem(registry._OUR_PARTS["network"], "bright", f"{__name__}:Unwritable")
    with pytest.raises(UserError, match=r"3d_fullres fold 0 cannot be written as ONNX: not today\.$"):
        export_onnx(model, tmp_path / "other")
    assert not (tmp_path / "other").exists()


class Sliced(Bright):
    slice_axis = "z"


def test_what_needs_more_than_logits_is_refused(tmp_path, monkeypatch):
    model = read_model_folder(write_bright_model(tmp_path / "model", monkeypatch, folds=(0,)))
    model.plan.configurations["3d_fullres"].postprocessing = [Part(name="slice_gate")]
    monkeypatch.setitem(registry._OUR_PARTS["network"], "bright", f"{__name__}:Sliced")
    monkeypatch.setattr("autobrats.inference.onnx_export.read_model_folder", lambda _: model)
    with pytest.raises(UserError, match=r"its postprocessing \(slice_gate\) asks"):
        export_onnx(model.path, tmp_path / "onnx")


def test_something_else_is_not_replaced(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match="not replaced"):
        export_onnx(tmp_path / "model", tmp_path / "mine", replace=True)
    assert main(["--onnx", "--with-cases", "-o", str(tmp_path / "out")]) == 2
    assert "--with-cases goes with FILE.zip" in capsys.readouterr().err
