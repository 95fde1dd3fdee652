"""What all tests share: one thread, and the real data where it is."""

from __future__ import annotations

import os
import signal

# Before numpy and torch are imported: the tests' arrays are small, and threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background jobs ignore Ctrl-C, and so would everything that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path

import pytest

from autobrats.workspace import DatasetFolder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real studies: $AUTOBRATS_REALDATA, else ../shared/data beside the project."""
    folder = Path(os.environ.get("AUTOBRATS_REALDATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder} (set AUTOBRATS_REALDATA)")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace that every command of the test uses by default."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("AUTOBRATS_WORKSPACE", str(folder))
    return folder


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """A planned and preprocessed dataset of generated studies; tests work on copies of it (predicted_runs.copy_planned)."""
    from predicted_runs import write_planned

    return write_planned(tmp_path_factory.mktemp("planned"))
