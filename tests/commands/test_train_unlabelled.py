"""autobrats_train --unlabelled from the shell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_dataset import write_tiny_workspace

from autobrats.commands.train import main
from autobrats.files import read_model, write_json
from autobrats.phantoms.folder import write_dataset
from autobrats.plan import Plan, SemiSupervision
from autobrats.training.progress import Progress


@pytest.fixture
def tiny(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Progress, "_draw", lambda self, trainer: None)
    folder = write_tiny_workspace(tmp_path / "planned")
    plan = read_model(folder.plan_file, Plan)
    plan.configurations["3d_fullres"].semi_supervision = SemiSupervision(views=[[2]], most_rounds=1)
    write_json(folder.plan_file, plan)
    return Path(shutil.copytree(folder.path, workspace / "tiny"))


def test_a_fold_is_trained_with_unlabelled_studies(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_dataset(tmp_path / "more", 2, seed=9, shape=(20, 26, 22), name="More", with_masks=False)
    arguments = ["3d_fullres", "0", "--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert main([*arguments, "--unlabelled", str(tmp_path / "nothing")]) == 2
    assert "nothing does not exist" in capsys.readouterr().err
    assert main([*arguments, "--unlabelled", str(tmp_path / "more")]) == 0
    assert "fold 0 finished in" in capsys.readouterr().out
    run = tiny / "runs" / "3d_fullres" / "fold_0"
    assert len(json.loads((run / "semi_supervision.json").read_text())["rounds"]) == 2
    assert (run / "validation" / "metrics.json").is_file()
    (store,) = (tiny / "unlabelled").iterdir()
    assert store.name.startswith("more_") and (store / "More_00001.b2nd").is_file()
