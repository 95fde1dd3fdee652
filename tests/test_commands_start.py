"""Every command starts at once: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    *("plan", "train", "tune", "find_best_config", "predict"),
    *("evaluate", "export_model", "import_model", "quantise", "demo"),
    *("survival_train", "survival_predict", "survival_evaluate"),
]
HEAVY = ["torch", "SimpleITK", "numpy", "pydantic", "scipy", "nibabel", "matplotlib", "rich", "sklearn", "optuna"]
ROOT = Path(__file__).parents[1]


def modules_after(statement: str, exit_code: int = 0) -> set[str]:
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit as end:\n    assert end.code == {exit_code}\n"
    code += "print('LOADED', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split("LOADED")[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not modules_after("import autobrats") & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    loaded = modules_after(f"from autobrats.commands.{command} import main; main(['--help'])")
    assert "argparse" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_wrong_argument_loads_nothing_heavy(command: str) -> None:
    loaded = modules_after(f"from autobrats.commands.{command} import main; main(['--no-such-option'])", exit_code=2)
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_use_ends_with_code_2_and_one_line(command: str, tmp_path: Path) -> None:
    code = f"import sys; from autobrats.commands.{command} import main; sys.exit(main(['--no-such-option']))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert "usage: autobrats_" + command.removesuffix("_model") in run.stderr
