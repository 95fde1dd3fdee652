"""Every command starts at once: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    *("plan", "train", "tune", "find_best_config", "predict"),
    *("evaluate", "export_model", "import_model", "demo"),
    *("survival_train", "survival_predict", "survival_evaluate"),
]
HEAVY = ["torch", "SimpleITK", "numpy", "pydantic", "scipy", "nibabel", "matplotlib", "rich", "sklearn", "optuna"]
ROOT = Path(__file__).parents[1]


def modules_after(statement: str) -> set[str]:
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit as end:\n    assert end.code == 0\n"
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


@pytest.mark.parametrize("command", COMMANDS)
def test_help_takes_under_a_third_of_a_second(command: str) -> None:
    # Processor time of the child, the best of several: other work on the machine must not decide.
    best = min(_child_seconds(command) for _ in range(3))
    assert best < 0.3


def _child_seconds(command: str) -> float:
    code = (
        f"import time, os\ntry:\n    from autobrats.commands.{command} import main; main(['--help'])\n"
        "except SystemExit: pass\nprint('SECONDS', time.process_time())"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(run.stdout.split("SECONDS")[-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_use_ends_with_code_2_and_one_line(command: str, tmp_path: Path) -> None:
    code = f"import sys; from autobrats.commands.{command} import main; sys.exit(main(['--no-such-option']))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert "usage: autobrats_" + command.removesuffix("_model") in run.stderr
