from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.errors import UserError
from autobrats.workspace import Workspace


def add(workspace: Workspace, name: str) -> None:
    folder = workspace.new_dataset(name)
    folder.path.mkdir(parents=True)
    folder.dataset_file.write_text("{}")


def test_the_argument_comes_before_the_variable_and_that_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOBRATS_WORKSPACE", raising=False)
    assert Workspace.locate().path == tmp_path / "autobrats_workspace"
    monkeypatch.setenv("AUTOBRATS_WORKSPACE", str(tmp_path / "variable"))
    assert Workspace.locate().path == tmp_path / "variable"
    assert Workspace.locate("given").path == tmp_path / "given"


def test_the_only_dataset_needs_no_name(tmp_path: Path) -> None:
    workspace = Workspace.locate(tmp_path)
    with pytest.raises(UserError, match="no dataset yet; run autobrats_plan"):
        workspace.dataset()
    add(workspace, "gliomas")
    (tmp_path / "something_else").mkdir()
    assert workspace.dataset().name == "gliomas"
    with pytest.raises(UserError, match="no dataset 'brain'; it has: gliomas"):
        workspace.dataset("brain")


def test_of_several_datasets_one_must_be_named(tmp_path: Path) -> None:
    workspace = Workspace.locate(tmp_path)
    add(workspace, "b")
    add(workspace, "a")
    with pytest.raises(UserError, match="choose one with -d: a, b"):
        workspace.dataset()
    assert workspace.dataset("b").run("3d_fullres", 2) == tmp_path / "b" / "runs" / "3d_fullres" / "fold_2"


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a dataset"):
        Workspace.locate(tmp_path).new_dataset(name)
