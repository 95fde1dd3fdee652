from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError
from autobrats.files import atomic_path, read_json, read_model, write_json, write_text


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    inner: Inner = Inner()
    parts: dict[str, Inner] = {}


def test_json_and_models_survive_the_file(tmp_path: Path) -> None:
    model = Outer(name="Müller", parts={"a": Inner(depth=3)})
    write_json(tmp_path / "new" / "model.json", model)
    assert read_model(tmp_path / "new" / "model.json", Outer) == model
    assert read_json(tmp_path / "new" / "model.json")["parts"] == {"a": {"depth": 3}}


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "file.nii.gz"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        assert temporary.name.endswith(".nii.gz") and temporary.parent == path.parent
        temporary.write_text("half of the n")
        raise RuntimeError
    with pytest.raises(ValueError):
        write_json(path, {"value": float("nan")})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.nii.gz"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a POSIX signal")
def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"state": "old"})
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from autobrats.files import atomic_path
        with atomic_path(Path({str(path)!r})) as temporary:
            temporary.write_text('{{"state": ')
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1]).returncode == -9
    assert read_json(path) == {"state": "old"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"name": "a", "nmae": 1}, "unknown key 'nmae'; allowed there: inner, name, parts."),
        ({"name": "a", "inner": {"deep": 1}}, "unknown key 'inner.deep'; allowed there: depth."),
        ({"name": "a", "parts": {"x": {"deep": 1}}}, "unknown key 'parts.x.deep'; allowed there: depth."),
        ({}, "the key 'name' is missing."),
        ({"name": "a", "inner": {"depth": "far"}}, "the key 'inner.depth' is 'far': Input should be a valid integer"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, content: dict, expected: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_model(path, Outer)
    assert str(path) in str(caught.value) and expected in str(caught.value)


def test_missing_and_broken_json_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.json does not exist"):
        read_json(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_bytes(b'{"a": \xff')
    with pytest.raises(UserError, match=r"broken\.json is not valid JSON"):
        read_json(tmp_path / "broken.json")
