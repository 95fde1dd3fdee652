"""The wheel is complete by itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = ["plan", "train", "find_best_config", "predict", "demo"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would give to somebody else, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", folder / "source"],
        check=True,
        capture_output=True,
    )
    return next((folder / "dist").glob("*.whl"))


def test_recipes_and_licence_are_inside_and_tests_are_not(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    recipes = {path.relative_to(ROOT / "plans").as_posix() for path in (ROOT / "plans").rglob("*.json")}
    assert "survival/anand2020.json" in recipes and {f"autobrats/plans/{name}" for name in recipes} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"autobrats"}


def test_installed_it_starts_every_command_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    # The dependencies are those of this environment; only autobrats itself is installed.
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    binaries = environment / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([binaries / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    for command in COMMANDS:
        run = subprocess.run([binaries / f"autobrats_{command}", "--help"], cwd=empty, capture_output=True, text=True)
        assert run.returncode == 0 and f"usage: autobrats_{command}" in run.stdout, run.stderr
    packages = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    code = (
        f"import sys; sys.path.append({str(packages)!r})\n"
        "import autobrats.planning.recipes as r; print(r.__file__); print(*r.recipe_names()); r.read_recipe('default')"
    )
    run = subprocess.run([binaries / "python", "-c", code], cwd=empty, capture_output=True, text=True, check=True)
    assert str(environment) in run.stdout and "default" in run.stdout
